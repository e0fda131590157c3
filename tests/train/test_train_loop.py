"""Whole runs, small: they learn, resume and stop."""

import json
import os
import signal
from dataclasses import replace

import pytest
import torch

from train.config import (
    Config,
    DataConfig,
    EvaluationConfig,
    LossConfig,
    ModelConfig,
    OptimiserConfig,
    Phase,
    RunConfig,
)
from train.data import Clip, Footage, Samples
from train.dice import Dice
from train.loop import Run, Stopping, train
from train.state import load_checkpoint, save_checkpoint

DATA = DataConfig(rendered=0.5, min_side=32, max_side=32)


def configure(folder, **changes):
    config = Config(
        model=ModelConfig(images=True),
        data=DATA,
        loss=LossConfig(l1=1.0),
        optimiser=OptimiserConfig(learning_rate=3e-3, warm_up=2),
        phases=(Phase(until_step=3, batch=2, frames=1, size=16), Phase(6, 1, 5, 16)),
        run=RunConfig(folder=str(folder), precision="no", log_every=1),
    )
    return replace(config, **changes)


def make_samples():
    frames = torch.randint(0, 256, (8, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    return Samples(Footage([Clip("noise", (frames.byte(),))], DATA), DATA, seed=0)


class OneBatch:
    """Samples that are always the same."""

    def __init__(self):
        self.video = make_samples().batch(0, range(2), 1, 16)

    def batch(self, step, indices, frames, size):
        return self.video


def test_one_batch_is_learnt_by_heart(tmp_path):
    steps = 80
    phases = (Phase(until_step=steps, batch=2, frames=1, size=16),)
    run = Run(configure(tmp_path, phases=phases))
    samples = OneBatch()
    errors = [run.advance(samples)["l1"] for _ in range(steps)]
    assert errors[-1] < errors[0] / 5


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path):
    whole, first = Run(configure(tmp_path / "whole")), Run(configure(tmp_path / "cut"))
    samples = make_samples()
    for _ in range(6):
        whole.advance(samples)
    for _ in range(5):
        first.advance(samples)
    first.save()
    second = Run(configure(tmp_path / "cut"))
    second.resume()
    assert second.step == 5
    second.advance(samples)
    for name, weight in whole.vae.state_dict().items():
        assert torch.equal(weight, second.vae.state_dict()[name]), name
        assert torch.equal(whole.ema.shadow[name], second.ema.shadow[name]), name


def test_without_a_checkpoint_a_run_starts_at_step_0(tmp_path):
    run = Run(configure(tmp_path))
    run.resume()
    assert run.step == 0


def test_a_failed_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint({"step": 1}, path)

    def fail(state, file):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        save_checkpoint({"step": 2}, path)
    assert load_checkpoint(path) == {"step": 1}


@pytest.fixture
def clips(tmp_path):
    """A folder with one small clip, and the part of the configuration that names it."""
    from tests.media import draw_noise, make_clip

    make_clip(tmp_path / "noise.mp4", draw_noise(12))
    return DataConfig(
        path=str(tmp_path), clips=("noise.mp4",), held_out=("noise.mp4",), min_side=32, max_side=32
    )


def test_a_run_logs_evaluates_exports_and_saves(tmp_path, clips):
    evaluation = EvaluationConfig(sides=(32,), frames=5, size=32)
    config = configure(tmp_path / "run", data=clips, evaluation=evaluation)
    restore = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        train(config)
    finally:
        for number, action in restore.items():
            signal.signal(number, action)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["start", *["step"] * 6, "evaluation", "stop"]
    assert lines[0]["config"]["phases"][1]["frames"] == 5
    assert lines[-2]["psnr"] > 0
    assert (tmp_path / "run" / "ema.safetensors").exists()
    assert load_checkpoint(tmp_path / "run" / "checkpoint.pt")["step"] == 6


def test_a_signal_asks_to_stop_after_the_step():
    restore = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        stopping = Stopping()
        assert not stopping.asked
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopping.asked
    finally:
        for number, action in restore.items():
            signal.signal(number, action)


def test_dice_follow_their_key():
    assert Dice(1, 2, 3).uniform() == Dice(1, 2, 3).uniform() != Dice(1, 23).uniform()
