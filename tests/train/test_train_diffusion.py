"""Training on latents: what is learned, and that a resumed or distributed run is the same run."""

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import odvae_core
from odvae_core import CheckpointError, diffusion
from tests.train.small_latents import CLASSES, SMALL, VAE, configure, write_latents
from train.config import ConfigError
from train.config_sections import OptimiserConfig, RunConfig
from train.diffusion.batches import BatchMaker
from train.diffusion.config import LatentsConfig, ModelConfig, SamplesConfig, StepsConfig
from train.diffusion.latents import load_latents
from train.diffusion.loop import train
from train.diffusion.networks import make_latte_config
from train.diffusion.objective import latte_losses
from train.diffusion.run import DiffusionRun
from train.diffusion.samples import sample_latents
from train.run_log import read_events
from train.step import DivergedError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def latents(tmp_path_factory):
    return write_latents(tmp_path_factory.mktemp("shards") / "latents")


def open_run(config):
    return DiffusionRun(config, load_latents(config.data))


def train_steps(run, count):
    maker = BatchMaker(run.latents, run.config.training.batch, 0, run.config.data.label_dropout)
    indices = range(run.config.training.batch)
    return [run.train_step(maker.draw(run.step, indices)) for _ in range(count)]


def weights_of(run):
    return {**run.network.state_dict(), **{f"ema.{k}": v for k, v in run.ema.shadow.items()}}


def assert_same(one, other):
    for name, weight in weights_of(one).items():
        assert torch.equal(weight, weights_of(other)[name]), name


def test_a_training_writes_a_model_that_explains_itself(latents, tmp_path):
    train(configure(latents, tmp_path))
    network = diffusion.load(tmp_path / "ema.safetensors")
    config = network.config
    assert (config.in_channels, config.latent_frames, config.side, config.classes) == (4, 3, 4, 3)
    assert (config.latent_scale, config.latent_shift) == (0.5, 0.25)
    metadata = network.provenance.metadata
    assert json.loads(metadata["classes"]) == list(CLASSES)
    assert (metadata["vae_family"], metadata["vae_sha256"]) == ("odvae", VAE["checkpoint_sha256"])
    events = read_events(tmp_path / "log.jsonl")
    steps = [event for event in events if event["event"] == "step"]
    assert [event["step"] for event in steps] == list(range(1, 9))
    assert all(math.isfinite(event["noise"] + event["bound"]) for event in steps)
    assert events[-1]["reason"] == "end"


@pytest.mark.parametrize("cut", [1, 5])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(latents, tmp_path, cut):
    whole, first = (open_run(configure(latents, tmp_path / name)) for name in ("whole", "cut"))
    train_steps(whole, 8)
    train_steps(first, cut)
    first.save()
    second = open_run(configure(latents, tmp_path / "cut"))
    second.resume()
    assert second.step == cut
    train_steps(second, 8 - cut)
    assert_same(whole, second)


def test_pieces_of_a_batch_add_up_to_the_batch(latents, tmp_path):
    whole = open_run(configure(latents, tmp_path / "whole"))
    pieces = configure(latents, tmp_path / "pieces")
    pieces = open_run(replace(pieces, run=replace(pieces.run, accumulate=3)))
    values = [run.add_gradients(train_batch(run)) for run in (whole, pieces)]
    assert values[0] == pytest.approx(values[1], rel=1e-5)
    for one, other in zip(whole.network.parameters(), pieces.network.parameters(), strict=True):
        if one.requires_grad:
            torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-7)


def train_batch(run):
    return BatchMaker(run.latents, 4, 0, 0.1).draw(0, range(4))


def test_a_batch_does_not_depend_on_how_it_is_shared(latents):
    maker = BatchMaker(load_latents(LatentsConfig(str(latents), "folder")), 4, 0, 0.1)
    whole, parts = maker.draw(3, range(4)), [maker.draw(3, range(2)), maker.draw(3, range(2, 4))]
    assert torch.equal(whole.start, torch.cat([part.start for part in parts]))
    assert torch.equal(whole.noise, torch.cat([part.noise for part in parts]))
    assert torch.equal(whole.timestep, torch.cat([part.timestep for part in parts]))
    assert torch.equal(whole.labels, torch.cat([part.labels for part in parts]))


def test_an_epoch_has_every_sample_once_and_in_another_order(latents):
    maker = BatchMaker(load_latents(LatentsConfig(str(latents), "folder")), 3, 0, 0.0)
    means = torch.stack(maker.latents.means)

    def find(step):
        starts = maker.draw(step, range(3)).start / 0.5 + 0.25
        return [(start.transpose(0, 1) - means).flatten(1).norm(dim=1).argmin() for start in starts]

    epochs = [[int(i) for step in steps for i in find(step)] for steps in ((0, 1), (2, 3))]
    assert [sorted(epoch) for epoch in epochs] == [list(range(6))] * 2
    assert epochs[0] != epochs[1]


def test_labels_are_dropped_at_their_rate(latents):
    maker = BatchMaker(load_latents(LatentsConfig(str(latents), "folder")), 400, 0, 0.3)
    labels = maker.draw(0, range(400)).labels
    assert 0.2 < float((labels == 3).float().mean()) < 0.4
    assert sorted(labels.unique().tolist()) == [0, 1, 2, 3]


def test_samples_of_the_posterior_have_its_variance(latents):
    found = load_latents(LatentsConfig(str(latents)))
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack([found.draw(0, generator) for _ in range(300)])
    mean = ((found.means[0] - 0.25) * 0.5).transpose(0, 1)
    assert (draws.mean(0) - mean).abs().max() < 0.03
    assert float(draws.std(0).mean()) == pytest.approx(0.5 * math.exp(-2), rel=0.05)


def test_the_scale_of_a_folder_makes_its_deviation_1(latents):
    found = load_latents(LatentsConfig(str(latents), scale="std"))
    generator = torch.Generator().manual_seed(1)
    draws = torch.stack([found.draw(index, generator) for index in range(6)])
    assert float(draws.std()) == pytest.approx(1, rel=0.02)
    assert found.shift == 0


def test_each_channel_may_have_its_own_scale(tmp_path):
    factors = {"latent_scale": [1.0, 2.0, 3.0, 4.0], "latent_shift": [0.0, 0.0, 1.0, 0.0]}
    folder = write_latents(tmp_path / "latents", logvar=False, **factors)
    found = load_latents(LatentsConfig(str(folder)))
    drawn, mean = found.draw(0, torch.Generator()), found.means[0]
    torch.testing.assert_close(drawn[:, 2], 3 * (mean[2] - 1))
    run = open_run(configure(folder, tmp_path / "run", labels="none"))
    assert run.network.config.latent_scale == (1.0, 2.0, 3.0, 4.0)
    run.export_weights()
    assert diffusion.load(tmp_path / "run/ema.safetensors").config == run.network.config
    assert sample_latents(run.network, range(1), 2).isfinite().all()


def test_labels_come_from_folders_or_columns(latents):
    assert load_latents(LatentsConfig(str(latents), "folder")).classes == CLASSES
    column = load_latents(LatentsConfig(str(latents), "column", "kind"))
    assert column.classes == ("CIRCLE", "SQUARE", "STAR")
    assert column.labels == (0, 1, 2, 0, 1, 2)
    assert load_latents(LatentsConfig(str(latents))).classes == ()


def test_an_unconditional_model_is_trained_without_labels(latents, tmp_path):
    run = open_run(configure(latents, tmp_path, labels="none"))
    train_steps(run, 2)
    assert run.network.config.classes is None


def test_the_network_learns_its_latents(tmp_path):
    """Of three constant latents, one for each class, samples of a class are nearest to its own."""
    write_latents(tmp_path / "constant", 3, (4, 2, 2, 2), logvar=False)
    config = configure(
        tmp_path / "constant",
        tmp_path / "run",
        model=ModelConfig("latte-s-sky", {"layers": 2, "heads": 2, "head_dim": 24}),
        training=StepsConfig(steps=300, batch=16),
        optimiser=OptimiserConfig("adamw", 5e-3, warm_up=10, schedule="cosine", clip=1.0),
    )
    run = open_run(replace(config, data=replace(config.data, scale="std")))
    losses = [values["noise"] for values in train_steps(run, 300)]
    assert sum(losses[-20:]) < 0.2 * sum(losses[:20])
    labels = [0, 1, 2] * 4
    latents = sample_latents(run.network, range(12), 10, labels, guidance=2.0)
    distance = torch.cdist(latents.flatten(1), torch.stack(run.latents.means).flatten(1))
    assert (distance.argmin(1) == torch.tensor(labels)).sum() >= 10


def test_both_losses_train_their_half_of_the_output(latents, tmp_path):
    run = open_run(configure(latents, tmp_path))
    losses = latte_losses(run.network, train_batch(run))
    weight = run.network.final_layer.linear.weight
    by_noise, by_bound = (
        torch.autograd.grad(losses[name], weight, retain_graph=True)[0].view(2, 2, 8, -1)
        for name in ("noise", "bound")
    )
    assert by_noise[:, :, 4:].abs().max() == 0
    assert by_bound[:, :, :4].abs().max() == 0


def test_the_gradient_is_clipped_from_its_step_on(latents, tmp_path):
    config = configure(latents, tmp_path, optimiser=OptimiserConfig("adamw", 0.0, clip=1e-3))
    run = open_run(replace(config, training=StepsConfig(8, 4, clip_from=1)))
    norms = []
    step = run.trained.optimiser.step

    def record(*args, **kwargs):
        gradients = [w.grad.flatten() for w in run.network.parameters() if w.grad is not None]
        norms.append(float(torch.cat(gradients).norm()))
        return step(*args, **kwargs)

    run.trained.optimiser.step = record
    train_steps(run, 2)
    assert norms[0] > 1e-2
    assert norms[1] == pytest.approx(1e-3, rel=1e-3)


def test_steps_that_are_not_finite_change_nothing_and_end_the_run(latents, tmp_path):
    config = configure(latents, tmp_path)
    run = open_run(replace(config, run=replace(config.run, skip_limit=2)))
    before = {name: weight.clone() for name, weight in weights_of(run).items()}
    batch = train_batch(run)
    broken = replace(batch, start=batch.start * torch.nan)
    run.train_step(broken)
    assert all(torch.equal(weight, before[name]) for name, weight in weights_of(run).items())
    with pytest.raises(DivergedError, match="2 steps in a row"):
        run.train_step(broken)


def test_another_network_or_seed_in_the_folder_is_refused(latents, tmp_path):
    train(configure(latents, tmp_path))
    wider = {**SMALL, "heads": 4}
    with pytest.raises(ConfigError, match=r"model\.overrides\.heads"):
        train(configure(latents, tmp_path, model=ModelConfig("latte-s-sky", wider)))
    with pytest.raises(CheckpointError, match="another network"):
        train(configure(latents, tmp_path, labels="none"))


def test_a_start_gives_its_weights(latents, tmp_path):
    train(configure(latents, tmp_path / "first"))
    path = tmp_path / "first/ema.safetensors"
    run = open_run(
        configure(latents, tmp_path / "b", model=ModelConfig("latte-s-sky", SMALL, str(path)))
    )
    for name, weight in diffusion.load(path).state_dict().items():
        assert torch.equal(run.network.state_dict()[name], weight)
    deeper = ModelConfig("latte-s-sky", {**SMALL, "layers": 4}, str(path))
    config = configure(latents, tmp_path / "c", model=deeper)
    with pytest.raises(ConfigError, match=r"model\.start is"):
        open_run(config)


def test_samples_are_drawn_with_the_vae(tmp_path):
    vae = odvae_core.build("odvae-tiny", None)
    odvae_core.save(vae, tmp_path / "vae.safetensors")
    channels = vae.latent_channels
    folder = write_latents(tmp_path / "latents", shape=(channels, 2, 2, 2))
    samples = SamplesConfig(str(tmp_path / "vae.safetensors"), count=2, steps=2)
    config = configure(folder, tmp_path / "run", samples=samples)
    train(replace(config, training=StepsConfig(2, 4)))
    assert (tmp_path / "run/sheets/step-000002.png").stat().st_size > 100


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": ModelConfig("latte-huge")}, "presets of Latte are latte-xl-sky"),
        ({"model": ModelConfig(overrides={"depth": 3})}, "no field depth"),
        ({"data": LatentsConfig(labels="column", column="caption")}, "no column 'caption'"),
    ],
)
def test_what_does_not_fit_the_latents_is_an_error(latents, tmp_path, changes, words):
    config = configure(latents, tmp_path, **changes)
    config = replace(config, data=replace(config.data, path=str(latents)))
    with pytest.raises(ConfigError, match=words):
        make_latte_config(config, load_latents(config.data))


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"data": LatentsConfig(labels="caption")}, "data.labels is 'caption'"),
        ({"training": StepsConfig(batch=0)}, "batch 0"),
        ({"data": LatentsConfig(label_dropout=1.0)}, "below 1"),
        ({"run": RunConfig(precision="fp8")}, "run.precision"),
    ],
)
def test_a_bad_configuration_is_an_error(latents, tmp_path, section, words):
    with pytest.raises(ConfigError, match=words):
        configure(latents, tmp_path, **section)


def test_latents_of_two_shapes_are_refused(tmp_path):
    write_latents(tmp_path / "a", shape=(4, 3, 4, 6))
    with pytest.raises(ConfigError, match=r"4, 3, 4, 6.*--frames-per-clip and --crop"):
        load_latents(LatentsConfig(str(tmp_path / "a")))


def read_weights(folder):
    return diffusion.load(folder / "ema.safetensors").state_dict()


ONE_PROCESS = "--cpu --num_processes 1 --num_machines 1 --mixed_precision no --dynamo_backend no"
LAUNCHERS = {
    1: ("accelerate.commands.launch", *ONE_PROCESS.split()),
    2: ("torch.distributed.run", "--standalone", "--nproc_per_node", "2"),
}
"""`accelerate launch` and `torchrun`, by the number of processes that they start on a CPU."""


@pytest.mark.slow
def test_two_launched_processes_train_as_one(latents, tmp_path):
    (tmp_path / "config.toml").write_text(
        "[model]\npreset = 'latte-s-sky'\noverrides = {layers = 2, heads = 2, head_dim = 12}\n"
        "[training]\nsteps = 6\nbatch = 4\n[data]\nlabels = 'folder'\n"
        "[run]\nprecision = 'no'\nsave_every = 100\n"
    )
    for processes, launcher in LAUNCHERS.items():
        folder = tmp_path / str(processes)
        command = [sys.executable, "-m", *launcher, "-m", "train.diffusion"]
        command += ["--config", str(tmp_path / "config.toml")]
        command += ["--set", f"data.path={latents}", "--set", f"run.folder={folder}"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert read_events(folder / "log.jsonl")[0]["processes"] == processes
    one, two = (read_weights(tmp_path / name) for name in "12")
    for name, weight in one.items():
        torch.testing.assert_close(weight, two[name], rtol=1e-3, atol=1e-5)
