"""A run of version 0.1.0 is resumed, reported and exported by today's code.

`tests/data/run-0.1.0.zip` is a run folder with its configuration, written by commit 1fc7f4c: six
steps with a discriminator on a network of width 2. It is the state of a run that was killed between
its last evaluation and the checkpoint of step 6, so its log has the values of steps 4 to 6.
"""

import zipfile
from pathlib import Path

import pytest

import odvae_core
from tests.media import draw_noise, make_clip
from train.checkpoints import Checkpoints, Retention
from train.config import load_config
from train.export.__main__ import export_run
from train.loop import train
from train.report.__main__ import write_report
from train.run_log import read_events

ARCHIVE = Path(__file__).resolve().parents[1] / "data" / "run-0.1.0.zip"


@pytest.fixture
def old_run(tmp_path):
    """The run folder and the configuration of version 0.1.0, with clips like those it had."""
    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(tmp_path)
    (tmp_path / "clips").mkdir()
    for name in ("noise.mkv", "held.mkv"):
        path = tmp_path / "clips" / name
        make_clip(path, draw_noise(8, 16, 24), codec="ffv1", pix_fmt="bgr0")
    return tmp_path / "run"


def load_old_config(run):
    settings = [f"run.folder={run}", f"data.path={run.parent / 'clips'}"]
    return load_config(run.parent / "run.toml", settings)


def select_steps(run):
    return {event["step"]: event for event in read_events(run / "log.jsonl") if "l1" in event}


def test_an_old_run_is_resumed_with_the_values_that_the_old_code_logged(old_run):
    before = select_steps(old_run)
    assert train(load_old_config(old_run)).step == 6
    events = read_events(old_run / "log.jsonl")
    assert [event["step"] for event in events if event["event"] == "start"] == [0, 3]
    after = select_steps(old_run)
    assert list(after) == list(before) == [1, 2, 3, 4, 5, 6]
    for step in (4, 5, 6):
        assert after[step].keys() == {*before[step], "waiting"}
        for name in ("total", "l1", "kl", "adversarial", "discriminator", "rate"):
            assert after[step][name] == pytest.approx(before[step][name], rel=1e-2, abs=1e-4)


def test_the_parts_of_an_old_checkpoint_are_those_of_a_new_one(old_run):
    checkpoints = Checkpoints(old_run / "checkpoints", Retention())
    old = checkpoints.load_newest()
    train(load_old_config(old_run))
    new = checkpoints.load_newest()
    assert (old.step, new.step) == (3, 6)
    assert new.parts == old.parts
    assert new.facts.keys() == {*old.facts, "held_out"}
    for part in ("objective", "discriminator"):
        assert new.load(part).keys() == old.load(part).keys()


def test_an_old_log_is_reported(old_run):
    page = write_report([old_run]).read_text()
    assert "At step 6 of 6" in page
    assert "held-out clips at step-000006" in page
    assert "data.sources" in page


@pytest.mark.parametrize(("weights", "step"), [("ema", "6"), ("raw", "3")])
def test_old_weights_are_exported(old_run, tmp_path, weights, step):
    file = tmp_path / "exported.safetensors"
    export_run(old_run, file, weights=weights, normalise=weights == "ema")
    assert odvae_core.load(file).provenance.metadata["training_steps"] == step
    assert "positions" not in file.with_suffix(".md").read_text().split("## What it reaches")[0]
