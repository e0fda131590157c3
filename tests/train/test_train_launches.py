"""Every preset with one and with two processes.

Each run has pictures, a frozen encoder, a discriminator and accumulated gradients, is stopped by a
signal, and is resumed.
"""

import random
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from tests.media import draw_noise, make_clip
from tests.train.small_presets import PHASES, PRESETS, shrink_preset
from train.checkpoints import Checkpoints, Retention
from train.config import ImageSpaceConfig
from train.discriminator import trains_discriminator_only
from train.run_log import read_events

QUICK = ("odvae", "ivvae", "cvvae")
"""One preset of each family: these are trained with two processes in every run of the tests."""


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    for name in ("noise.mp4", "held.mp4"):
        make_clip(folder / name, draw_noise(18))
    return folder


def open_checkpoints(config):
    return Checkpoints(Path(config.run.folder) / "checkpoints", Retention(newest=100))


def load_newest(config):
    """The step and all tensors of the newest checkpoint, by name."""
    checkpoint, found = open_checkpoints(config).load_newest(), {}

    def walk(name, value):
        if isinstance(value, torch.Tensor):
            found[name] = value
        elif isinstance(value, dict):
            for key, item in value.items():
                walk(f"{name}.{key}", item)

    for part in checkpoint.parts:
        walk(part, checkpoint.load(part))
    return checkpoint.step, found


def check_steps(config):
    """Each phase had its losses, and nothing was skipped."""
    events = read_events(Path(config.run.folder) / "log.jsonl")
    steps = [event for event in events if event["event"] == "step"]
    adversarial = ["adversarial" in step or "discriminator" in step for step in steps]
    assert adversarial == [False] * 3 + [True] * 4
    assert steps[-1]["skipped"] == 0


def check_trained_parts(config):
    """The encoder changed in all steps of the VAE but the third, the decoder in all of them."""
    paths = open_checkpoints(config).list_paths()[-config.steps :]
    states = [torch.load(path / "objective.pt") for path in paths]
    moved = [
        {name.split(".")[1] for name in before if not torch.equal(before[name], after[name])}
        for before, after in pairwise(states)
    ]
    steps = range(1, config.steps)
    weights = [config.losses_of(config.phase_at(step)) for step in steps]
    pairs = zip(weights, steps, strict=True)
    apart = [trains_discriminator_only(config.discriminator, *pair) for pair in pairs]
    assert ["decoder" in parts for parts in moved] == [not alone for alone in apart]
    frozen = [config.phase_at(step).frozen for step in steps]
    assert ["encoder" in parts for parts in moved] == [
        not alone and not names for alone, names in zip(apart, frozen, strict=True)
    ]


def check_resumed(whole, cut):
    """Both runs ended at the same step with the same tensors, bit for bit."""
    (step, state), (other_step, other) = load_newest(whole), load_newest(cut)
    assert step == other_step == whole.steps
    assert state.keys() == other.keys()
    assert [name for name, value in state.items() if not torch.equal(value, other[name])] == []


def mark_slow(name, processes):
    marks = [] if name in QUICK and processes == 2 else [pytest.mark.slow]
    return pytest.param(name, processes, marks=marks)


@pytest.mark.parametrize(
    ("name", "processes"), [mark_slow(name, count) for name in PRESETS for count in (1, 2)]
)
def test_a_preset_trains_stops_and_resumes_bit_for_bit(launcher, clips, tmp_path, name, processes):
    whole = shrink_preset(name, tmp_path / "whole", clips, save_every=1, keep=100)
    launcher.train(whole, processes)
    check_steps(whole)
    check_trained_parts(whole)
    run = replace(whole.run, folder=str(tmp_path / "cut"), save_every=100)
    cut = replace(whole, run=run)
    launcher.train(cut, processes, stop=4)
    assert load_newest(cut)[0] == 4
    launcher.train(cut, processes)
    check_resumed(whole, cut)


def test_a_regularisation_that_leaves_a_variance_unused_trains(launcher, clips, tmp_path):
    config = shrink_preset("cvvae", tmp_path, clips)
    space = ImageSpaceConfig(vae=config.image_space.vae, decode=0.0, encode=True)
    launcher.train(replace(config, image_space=space), 2)
    assert config.loss.learn_logvar
    check_steps(config)


@pytest.mark.parametrize(
    ("name", "processes"),
    [
        ("odvae", 1),
        *[pytest.param(name, 1, marks=pytest.mark.slow) for name in PRESETS if name != "odvae"],
        *[pytest.param(name, 2, marks=pytest.mark.slow) for name in PRESETS],
    ],
)
def test_a_preset_trains_in_fp16_with_a_scaler(launcher, clips, tmp_path, name, processes):
    """A step that overflows is skipped, and halves the scale."""
    config = shrink_preset(name, tmp_path / "whole", clips, precision="fp16", accumulate=1)
    launcher.train(config, processes)
    checkpoint = open_checkpoints(config).load_newest()
    skipped = checkpoint.facts["skipped"]
    assert (checkpoint.step, checkpoint.load("scaler")["scale"]) == (7, 0.5**skipped)
    assert skipped <= 2


def test_a_process_without_the_checkpoint_of_process_0_is_named(launcher, clips, tmp_path):
    """Folders of two machines: the second has a checkpoint of its own, of a later step."""
    first, second = (shrink_preset("smoke", tmp_path / name, clips) for name in ("a", "b"))
    launcher.train(first, 1, stop=2)
    launcher.train(second, 1, stop=4)
    codes, texts, _ = launcher.launch(first, second)
    assert 0 not in codes
    assert "step-00000002 of process 0 is missing or different in process 1 on" in "".join(texts)
    shutil.copytree(
        Path(first.run.folder, "checkpoints"),
        Path(second.run.folder, "checkpoints"),
        dirs_exist_ok=True,
    )
    codes, texts, hashes = launcher.launch(first, second)
    assert codes == [0, 0], texts
    assert hashes[0] == hashes[1] != ""
    assert load_newest(first)[0] == 7


@pytest.mark.slow
def test_a_process_with_other_clips_is_named(launcher, clips, tmp_path):
    (tmp_path / "clips").mkdir()
    for name in ("other.mp4", "held.mp4"):
        make_clip(tmp_path / "clips" / name, draw_noise(12))
    config = shrink_preset("smoke", tmp_path, clips)
    other = replace(config, data=replace(config.data, path=str(tmp_path / "clips")))
    codes, texts, _ = launcher.launch(config, other)
    assert 0 not in codes
    assert "differ from those of process 0 in process 1 on" in "".join(texts)


@pytest.mark.slow
@pytest.mark.parametrize(("saves", "longest"), [(0, 1.5), (3, 0.01)])
def test_two_processes_killed_20_times_train_to_the_same_weights(
    launcher, clips, tmp_path, saves, longest
):
    """At random moments, or while a checkpoint is written: of 40 steps every one is saved."""
    phases = (replace(PHASES[2], until_step=40),)
    whole = replace(shrink_preset("smoke", tmp_path / "whole", clips, keep=2), phases=phases)
    launcher.train(whole, 2)
    run = replace(whole.run, folder=str(tmp_path / "cut"), save_every=1)
    cut, rng, torn = replace(whole, run=run), random.Random(saves), 0
    for _ in range(20):
        moment = {
            "saves": rng.randint(1, saves) if saves else 0,
            "seconds": rng.uniform(0, longest),
        }
        launcher.launch(cut, cut, kill=moment)
        torn += any(Path(run.folder, "checkpoints").glob("*.tmp-*"))
    assert torn >= saves * 3, "few kills happened during a save: the test is inconclusive"
    launcher.train(cut, 2)
    check_resumed(whole, cut)
