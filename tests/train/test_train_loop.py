"""Whole runs from files: they log, evaluate, export, save, stop at a signal and resume."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import odvae_core
from tests.media import draw_noise, make_clip
from tests.train.small_runs import PHASES, configure
from train import loop
from train.checkpoints import Checkpoints, Retention
from train.config import ConfigError, DataConfig, EvaluationConfig
from train.data import BrokenDataError
from train.loop import UnsavedError, train
from train.run import Run
from train.run_log import read_events

EVALUATION = EvaluationConfig(sides=(32,), frames=5, size=32, stride=1)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A folder with two small clips, one of them held out."""
    folder = tmp_path_factory.mktemp("clips")
    make_clip(folder / "noise.mp4", draw_noise(12))
    make_clip(folder / "held.mp4", draw_noise(12))
    return DataConfig(path=str(folder), held_out=("held*",), rendered=0.5, crop="random")


def configure_files(folder, clips, **run):
    config = configure(folder, data=clips, evaluation=EVALUATION)
    return replace(config, run=replace(config.run, **run))


def load_newest(folder):
    return Checkpoints(folder / "checkpoints", Retention()).load_newest()


def collect(checkpoint):
    """All tensors of a checkpoint, by name."""
    found = {}

    def walk(name, value):
        if isinstance(value, torch.Tensor):
            found[name] = value
        elif isinstance(value, dict):
            for key, item in value.items():
                walk(f"{name}.{key}", item)

    for part in checkpoint.parts:
        walk(part, checkpoint.load(part))
    return found


def test_a_run_logs_evaluates_exports_and_saves(tmp_path, clips):
    train(configure_files(tmp_path, clips, evaluate_every=5, save_every=4))
    events = read_events(tmp_path / "log.jsonl")
    names = [event["event"] for event in events if event["event"] != "step"]
    first, rest = names[:3], names[3:]
    assert first == ["start", "evaluation", "evaluation"]  # of the initial weights, and of step 1
    assert [name for name in rest if name != "checkpoint"] == ["evaluation", "evaluation", "stop"]
    evaluated = [event["step"] for event in events if event["event"] == "evaluation"]
    assert evaluated == [0, 1, 5, 8]
    assert sum(event["event"] == "step" for event in events) == 8
    assert (events[-1]["step"], events[-1]["reason"]) == (8, "end")
    evaluation = next(event for event in events if event["event"] == "evaluation")
    assert evaluation["psnr"] > 0
    assert len(evaluation["latent_std"]) == 4
    assert (tmp_path / evaluation["sheet"]).exists()
    assert odvae_core.load(tmp_path / "ema.safetensors").family == "odvae"
    assert load_newest(tmp_path).step == 8


def test_the_best_weights_are_kept(tmp_path, clips):
    run = train(configure_files(tmp_path, clips, evaluate_every=2, save_every=100))
    figures = {
        event["step"]: event["psnr"]
        for event in read_events(tmp_path / "log.jsonl")
        if event["event"] == "evaluation" and event["step"]
    }
    assert run.best == max(figures.values())
    best = Checkpoints(tmp_path / "checkpoints", Retention()).best
    assert best.name == f"step-{max(figures, key=figures.__getitem__):08d}"


@pytest.mark.parametrize(("workers", "cut"), [(0, 3), (2, 5)])
def test_a_stopped_run_resumes_bit_for_bit(tmp_path, clips, workers, cut, monkeypatch):
    train(configure_files(tmp_path / "whole", clips))
    config = configure_files(tmp_path / "cut", clips, workers=workers)
    with monkeypatch.context() as patch:
        patch.setattr(Run, "any_process", lambda self, flag: flag or self.step == cut)
        assert train(config).step == cut
    resumed = train(config)
    assert resumed.step == 8
    one, other = collect(load_newest(tmp_path / "whole")), collect(load_newest(tmp_path / "cut"))
    assert one.keys() == other.keys()
    differing = [name for name, value in one.items() if not torch.equal(value, other[name])]
    assert differing == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_after_its_step_and_saves_it(tmp_path, clips, number, monkeypatch):
    train_step = Run.train_step

    def step_with_signal(self, video, indices):
        if self.step == 2:
            os.kill(os.getpid(), number)
        return train_step(self, video, indices)

    monkeypatch.setattr(Run, "train_step", step_with_signal)
    before = signal.getsignal(number)
    config = configure_files(tmp_path, clips)
    assert train(config).step == 3
    assert load_newest(tmp_path).step == 3
    assert read_events(tmp_path / "log.jsonl")[-1]["reason"] == "signal"
    assert signal.getsignal(number) is before


def test_unreadable_data_end_a_run_with_its_steps_saved(tmp_path, clips, monkeypatch):
    opened = loop.open_batches

    def open_and_break(run, training_set):
        for batch in opened(run, training_set):
            if batch.step == 2:
                raise BrokenDataError("the disk was pulled out")
            yield batch

    monkeypatch.setattr(loop, "open_batches", open_and_break)
    with pytest.raises(BrokenDataError, match="pulled out"):
        train(configure_files(tmp_path, clips))
    assert load_newest(tmp_path).step == 2


def test_a_run_without_held_out_clips_still_exports(tmp_path, clips):
    config = configure_files(tmp_path, replace(clips, held_out=(), held_out_share=0.0))
    train(replace(config, phases=(replace(PHASES[0], until_step=1),)))
    assert (tmp_path / "ema.safetensors").exists()
    assert "evaluation" not in {event["event"] for event in read_events(tmp_path / "log.jsonl")}


def test_a_run_holds_a_clip_out_by_itself(tmp_path, clips):
    config = configure_files(tmp_path, replace(clips, held_out=()))
    train(replace(config, phases=(replace(PHASES[0], until_step=1),)))
    events = read_events(tmp_path / "log.jsonl")
    assert events[0]["held_out"] in (["held.mp4"], ["noise.mp4"])
    assert [event["step"] for event in events if event["event"] == "evaluation"] == [0, 1]
    assert (tmp_path / "sheets" / "step-000000.png").exists()


def test_logged_values_are_means_since_the_last_log(tmp_path, clips, monkeypatch):
    train_step, values = Run.train_step, []

    def record(self, video, indices):
        values.append(train_step(self, video, indices))
        return values[-1]

    monkeypatch.setattr(Run, "train_step", record)
    train(configure_files(tmp_path, clips, log_every=4))
    steps = [e for e in read_events(tmp_path / "log.jsonl") if e["event"] == "step"]
    assert [step["step"] for step in steps] == [4, 8]
    assert steps[1]["l1"] == pytest.approx(sum(v["l1"] for v in values[4:]) / 4)
    assert steps[0]["adversarial"] == values[3]["adversarial"]


def test_the_time_of_a_step_includes_waiting_for_its_batch(tmp_path, clips, monkeypatch):
    clock = [0.0]
    opened, train_step = loop.open_batches, Run.train_step

    def open_slowly(run, training_set):
        for batch in opened(run, training_set):
            clock[0] += 3.0
            yield batch

    def step_slowly(self, video, indices):
        clock[0] += 1.0
        return train_step(self, video, indices)

    monkeypatch.setattr(loop.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(loop, "open_batches", open_slowly)
    monkeypatch.setattr(Run, "train_step", step_slowly)
    train(configure_files(tmp_path, clips))
    steps = [e for e in read_events(tmp_path / "log.jsonl") if e["event"] == "step"]
    assert {(step["seconds_per_step"], step["waiting"]) for step in steps} == {(4.0, 0.75)}


def test_a_last_step_that_is_not_saved_is_an_error(tmp_path, clips, monkeypatch):
    config = configure_files(tmp_path, clips, save_every=3)
    monkeypatch.setattr(Checkpoints, "save", lambda *arguments: None)
    with pytest.raises(UnsavedError, match="step 8, the last one, could not be saved"):
        train(config)


def test_changes_of_a_resumed_run_are_logged(tmp_path, clips, caplog):
    config = configure_files(tmp_path, clips)
    train(replace(config, phases=(replace(PHASES[0], until_step=1),)))
    optimiser = replace(config.optimiser, learning_rate=1e-4)
    train(replace(config, phases=(replace(PHASES[0], until_step=2),), optimiser=optimiser))
    start = [e for e in read_events(tmp_path / "log.jsonl") if e["event"] == "start"][-1]
    assert start["changed"] == {
        "optimiser.learning_rate": [1e-3, 1e-4],
        "phases.0.until_step": [1, 2],
    }
    assert "resumed with another optimiser.learning_rate: 0.0001" in caplog.text


def test_a_resumed_run_with_other_clips_says_so(tmp_path, clips, monkeypatch):
    config = configure_files(tmp_path, clips)
    phases = [(replace(PHASES[0], until_step=end),) for end in (1, 2)]
    train(replace(config, phases=phases[0]))
    monkeypatch.setattr("train.data.loading.hash_entries", lambda entries: "other")
    train(replace(config, phases=phases[1]))
    start = [e for e in read_events(tmp_path / "log.jsonl") if e["event"] == "start"][-1]
    assert start["changed"]["data"][1] == "other"


def test_a_run_is_not_resumed_with_another_seed(tmp_path, clips):
    config = configure_files(tmp_path, clips)
    train(replace(config, phases=(replace(PHASES[0], until_step=1),)))
    with pytest.raises(ConfigError, match=r"run\.seed is 7; .* trained with 0"):
        train(replace(config, run=replace(config.run, seed=7)))


@pytest.mark.parametrize("mode", ["joint", pytest.param("alternate", marks=pytest.mark.slow)])
def test_two_processes_equal_one(tmp_path, clips, launcher, mode):
    """With the group-norm discriminator, the all-reduced adaptive weight, and a frozen start.

    Adam's first moments are compared too, since they are the gradients, whatever their size.
    """
    states, weights = [], []
    phases = (
        replace(PHASES[0], until_step=1, frozen=("encoder",)),
        replace(PHASES[1], until_step=3),
    )
    for processes in (1, 2):
        config = configure_files(tmp_path / str(processes), clips, evaluate_every=100)
        slow = replace(config.optimiser, learning_rate=1e-5)
        discriminator = replace(config.discriminator, mode=mode)
        config = replace(config, phases=phases, optimiser=slow, discriminator=discriminator)
        launcher.train(config, processes)
        states.append(collect(load_newest(Path(config.run.folder))))
        events = read_events(Path(config.run.folder) / "log.jsonl")
        assert events[0]["processes"] == processes
        weights.append([e["adaptive_weight"] for e in events if "adaptive_weight" in e])
    assert weights[0] == pytest.approx(weights[1], rel=1e-3)
    state, other = states
    noise = find_key_biases(state)
    for name in state:
        difference = (state[name].float() - other[name].float()).norm()
        assert name in noise or difference <= 2e-3 * state[name].float().norm(), name


def find_key_biases(state):
    """The keys' biases, which don't change attention: their gradients and moments are rounding."""
    weights = [name for name in state if name.startswith("objective.")]
    biases = [i for i, name in enumerate(weights) if name.endswith("k.conv.bias")]
    names = {weights[i].replace("objective.vae", "ema.shadow") for i in biases}
    moments = {f"optimiser.state.{i}.{kind}" for i in biases for kind in ("exp_avg", "exp_avg_sq")}
    return {*(weights[i] for i in biases), *names, *moments}
