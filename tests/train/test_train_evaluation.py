"""Held-out measurements."""

import math

import pytest
import torch

from train.config import ConfigError, EvaluationConfig
from train.evaluation import cut_crops, measure, rounded_psnr

CROPS = EvaluationConfig(per_clip=2, frames=5, size=16)


def test_psnr_is_of_8_bit_frames_and_of_each_by_itself():
    video = torch.zeros(1, 3, 2, 8, 8)  # becomes 128 of 255
    reconstruction = video.clone()
    reconstruction[:, :, 1] = 10 / 127.5
    values = rounded_psnr(reconstruction, video)
    assert values.shape == (1, 2)
    assert values[0, 0].item() == math.inf
    assert values[0, 1].item() == pytest.approx(20 * math.log10(255 / 10), abs=1e-3)


def test_crops_are_the_same_every_time_and_differ_from_one_another():
    video = torch.rand(3, 9, 40, 60)
    crops = cut_crops(video, CROPS, seed=1)
    assert crops.shape == (2, 3, 5, 16, 16)
    assert torch.equal(crops, cut_crops(video, CROPS, seed=1))
    assert not torch.equal(crops[0], crops[1])


def test_a_clip_smaller_than_a_crop_is_refused():
    with pytest.raises(ConfigError, match=r"\[9, 8, 60\].*cuts \[5, 16, 16\]"):
        cut_crops(torch.rand(3, 9, 8, 60), CROPS, seed=0)


def test_means_are_given_for_each_side_and_over_all_crops():
    crops = {144: torch.zeros(1, 3, 5, 16, 16), 256: torch.zeros(3, 3, 5, 16, 16)}
    values = measure(lambda video: video + 10 / 127.5, crops)
    assert set(values) == {"144", "256", "psnr"}
    assert values["psnr"] == pytest.approx(20 * math.log10(255 / 10), abs=1e-3)
