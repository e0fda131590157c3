"""The shape of each step's batch, and runs whose batches have several shapes."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from tests.media import draw_noise, make_clip
from tests.train.small_runs import configure
from train.config import DataConfig, EvaluationConfig, LossConfig, Phase
from train.config_sections import Shape
from train.data import load_training_set, make_batches
from train.loop import train
from train.run import Run
from train.run_log import read_events
from train.shapes import ShapeSchedule

SHORT, LONG, PICTURES = Shape(4, 5, 32), Shape(2, 9, 16, 2.0), Shape(8, 1, 16, 1.0)
MIXED = Phase(until_step=400, shapes=(SHORT, LONG, PICTURES))


def draw_shapes(phase, seed=0, steps=400):
    schedule = ShapeSchedule((phase,), seed)
    return [schedule(step) for step in range(steps)]


def test_a_step_draws_one_of_the_shapes_in_proportion_to_its_weight():
    counts = Counter(draw_shapes(MIXED))
    assert set(counts) == {SHORT, LONG, PICTURES}
    assert counts[LONG] == pytest.approx(200, abs=30)
    assert counts[SHORT] == pytest.approx(100, abs=30)


def test_a_shape_depends_on_seed_and_step_only():
    shapes = draw_shapes(MIXED)
    assert draw_shapes(MIXED) == shapes
    assert draw_shapes(MIXED, seed=1) != shapes
    later = ShapeSchedule((replace(MIXED, until_step=900),), 0)
    assert [later(step) for step in range(200, 400)] == shapes[200:]


def test_one_shape_is_a_list_of_one():
    phase = Phase(until_step=10, batch=2, frames=5, size=16)
    assert draw_shapes(phase, steps=10) == [Shape(2, 5, 16)] * 10
    assert draw_shapes(Phase(10, shapes=(Shape(2, 5, 16),)), steps=10) == [Shape(2, 5, 16)] * 10


def test_pictures_are_a_shape_with_the_image_share_as_its_weight():
    phase = Phase(until_step=400, batch=2, frames=5, size=16, image_share=0.25, image_batch=6)
    pictures, clips = Shape(6, 1, 16, 0.25), Shape(2, 5, 16, 0.75)
    drawn = draw_shapes(phase)
    assert drawn == draw_shapes(Phase(until_step=400, shapes=(pictures, clips)))
    assert Counter(drawn)[pictures] == pytest.approx(100, abs=30)


def test_a_phase_of_pictures_only_asks_for_no_clip():
    phase = Phase(until_step=4, batch=2, frames=5, size=16, image_share=1.0, image_batch=6)
    assert phase.list_shapes() == (Shape(6, 1, 16),)


def test_the_shapes_to_check_are_those_of_the_present_and_later_phases():
    first = Phase(until_step=3, batch=2, frames=1, size=16)
    schedule = ShapeSchedule((first, MIXED), 0)
    assert schedule.list_shapes(2) == [Shape(2, 1, 16), SHORT, LONG, PICTURES]
    assert schedule.list_shapes(3) == [SHORT, LONG, PICTURES]


def test_a_run_of_several_shapes_stops_and_resumes_with_the_same_steps(tmp_path, monkeypatch):
    (tmp_path / "clips").mkdir()
    make_clip(tmp_path / "clips" / "noise.mp4", draw_noise(18))
    config = configure(
        tmp_path / "whole",
        data=DataConfig(path=str(tmp_path / "clips")),
        loss=LossConfig(),
        phases=(Phase(until_step=6, shapes=(Shape(2, 5, 32), Shape(1, 9, 16), Shape(3, 1, 32))),),
        evaluation=EvaluationConfig(sides=(32,), frames=5, size=32, stride=1),
    )
    shapes, train_step = [], Run.train_step

    def record_step(self, video, indices):
        shapes.append((self.step, tuple(video.shape)))
        return train_step(self, video, indices)

    monkeypatch.setattr(Run, "train_step", record_step)
    train(config)
    assert len({shape for _, shape in shapes}) == 3
    whole, losses = shapes.copy(), read_losses(tmp_path / "whole")
    shapes.clear()
    cut = replace(config, run=replace(config.run, folder=str(tmp_path / "cut")))
    with monkeypatch.context() as patch:
        patch.setattr(Run, "any_process", lambda self, flag: flag or self.step == 2)
        train(cut)
    train(cut)
    assert shapes == whole
    assert read_losses(tmp_path / "cut") == losses


def read_losses(folder):
    events = read_events(folder / "log.jsonl")
    return [(event["step"], event["l1"]) for event in events if event["event"] == "step"]


def test_all_processes_draw_the_same_shape_and_share_its_batch(tmp_path):
    make_clip(tmp_path / "noise.mp4", draw_noise(18))
    training_set = load_training_set(
        DataConfig(path=str(tmp_path), crop="random"), 0, tmp_path / "clips.json"
    )
    shapes = (Shape(4, 5, 32), Shape(2, 9, 16), Shape(6, 1, 32))
    schedule = ShapeSchedule((Phase(until_step=8, shapes=shapes),), 0)
    whole, *halves = (
        list(make_batches(training_set, 0, 8, schedule, rank, world))
        for rank, world in ((0, 1), (0, 2), (1, 2))
    )
    assert len({batch.video.shape for batch in whole}) == 3
    for batch, even, odd in zip(whole, *halves, strict=True):
        assert torch.equal(even.video, batch.video[::2])
        assert torch.equal(odd.video, batch.video[1::2])
