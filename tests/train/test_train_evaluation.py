"""The held-out crops of a run."""

import pytest
import torch

from tests.media import draw_numbers, make_clip, read_numbers
from train.config import ConfigError, DataConfig, EvaluationConfig
from train.evaluation import cut_crops, cut_held_out

CROPS = EvaluationConfig(sides=(32,), per_clip=2, frames=5, size=16, stride=2)


def test_crops_are_the_same_every_time_and_differ_from_one_another():
    video = torch.rand(3, 9, 40, 60)
    crops = cut_crops(video, CROPS, seed=1)
    assert crops.shape == (2, 3, 5, 16, 16)
    assert torch.equal(crops, cut_crops(video, CROPS, seed=1))
    assert not torch.equal(crops[0], crops[1])


def test_a_clip_smaller_than_a_crop_is_refused():
    with pytest.raises(ConfigError, match=r"\[9, 8, 60\].*cuts \[5, 16, 16\]"):
        cut_crops(torch.rand(3, 9, 8, 60), CROPS, seed=0)


def test_held_out_clips_are_cut_at_every_side_with_the_stride(tmp_path):
    for name in ("a.mkv", "b.mkv"):
        make_clip(tmp_path / name, draw_numbers(10), codec="ffv1")
    config = DataConfig(str(tmp_path), held_out=("a.mkv",))
    (crops,) = cut_held_out(config, CROPS).values()
    assert crops.shape == (2, 3, 5, 16, 16)
    for crop in crops.split(1):
        numbers = read_numbers(crop)
        assert numbers == list(range(numbers[0], numbers[0] + 10, 2))


def test_a_held_out_clip_is_not_enlarged(tmp_path):
    make_clip(tmp_path / "a.mkv", draw_numbers(10), codec="ffv1")
    with pytest.raises(ConfigError, match=r"short side of 32, evaluation\.sides has 64"):
        cut_held_out(DataConfig(str(tmp_path), held_out=("a.mkv",)), EvaluationConfig(sides=(64,)))


def test_a_run_that_holds_nothing_out_has_no_crops():
    assert cut_held_out(DataConfig("no such folder"), CROPS) == {}
