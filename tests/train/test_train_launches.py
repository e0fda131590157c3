"""Every preset with one and with two processes.

Each run has pictures, a frozen encoder, a discriminator and accumulated gradients, is stopped by a
signal, and is resumed.
"""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from tests.media import draw_noise, make_clip
from tests.train.small_presets import PRESETS, shrink_preset
from train.checkpoints import Checkpoints, Retention
from train.config import ImageSpaceConfig
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
    assert ["adversarial" in step for step in steps] == [False] * 3 + [True] * 4
    assert steps[-1]["skipped"] == 0


def check_frozen_parts(config):
    """The encoder changed in all steps but the third, the decoder in all."""
    paths = open_checkpoints(config).list_paths()
    states = [torch.load(path / "objective.pt") for path in paths]
    moved = [
        {name.split(".")[1] for name in before if not torch.equal(before[name], after[name])}
        for before, after in pairwise(states)
    ]
    assert ["encoder" in parts for parts in moved] == [True, False, True, True, True, True]
    assert all("decoder" in parts for parts in moved)


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
    check_frozen_parts(whole)
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
