"""Figures of a clip, against hand-computed ones."""

import math

import pytest
import torch

from odvae_core.evaluation import CropScores, evaluate_crops
from odvae_core.metrics import ssim


def psnr_of(levels):
    """PSNR in dB of an error of this number of 255 levels."""
    return 20 * math.log10(255 / levels)


def shift(video, levels):
    """Frames [1, 3, T, H, W], each brightened by its number of levels."""
    return video + torch.tensor(levels).view(1, 1, -1, 1, 1) / 127.5


GREY = torch.full((1, 3, 9, 16, 16), 128 / 127.5 - 1)
LEVELS = [1.0, 2, 3, 4, 5, 2, 3, 4, 5]


def test_means_are_of_the_figures_of_frames():
    scores = CropScores()
    bright = shift(GREY, LEVELS)
    scores.add(GREY, bright, 16)
    means = scores.means()
    assert means["psnr"] == pytest.approx(sum(map(psnr_of, LEVELS)) / 9, abs=1e-4)
    assert means["flicker"] == pytest.approx((7 * 1 + 3) / 8 / 255, abs=1e-6)
    assert means["ssim"] == pytest.approx(float(ssim(bright, GREY).mean()))
    assert set(means) == {"psnr", "ssim", "flicker"}


def test_positions_are_the_first_frame_and_then_the_places_in_the_group():
    scores = CropScores()
    scores.add(GREY, shift(GREY, LEVELS), 16)
    assert scores.by_position() == pytest.approx([psnr_of(n) for n in (1, 2, 3, 4, 5)], abs=1e-4)


def test_crops_without_a_whole_group_have_no_positions():
    scores = CropScores()
    scores.add(GREY[:, :, :4], shift(GREY[:, :, :4], LEVELS[:4]), 16)
    assert scores.by_position() == []


def test_equal_frames_count_100_db_and_hide_no_others():
    scores = CropScores()
    scores.add(GREY[:, :, :2], shift(GREY[:, :, :2], [0.0, 5]), 16)
    assert scores.means()["psnr"] == pytest.approx((100 + psnr_of(5)) / 2, abs=1e-4)


def test_the_error_at_borders_stands_beside_that_elsewhere():
    scores = CropScores(borders=(5,))
    scores.add(GREY, shift(GREY, [0.0, 1, 1, 1, 1, 9, 9, 9, 9]), 16)
    means = scores.means()
    assert means["border"] == pytest.approx(8 / 255, abs=1e-6)
    assert means["elsewhere"] == pytest.approx(1 / 255 / 7, abs=1e-6)


def test_other_figures_are_averaged_beside():
    scores = CropScores()
    for value in (1.0, 3.0):
        scores.add(GREY, shift(GREY, LEVELS), 16, {"lpips_alex": torch.full((1, 9), value)})
    assert scores.means()["lpips_alex"] == 2


def test_a_run_logs_every_short_side_and_all_crops_together():
    crops = {144: GREY, 256: torch.cat([GREY, GREY, GREY])}
    errors = iter([2.0, 4, 4, 4])
    values = evaluate_crops(lambda video: shift(video, [next(errors)] * 9), crops)
    assert set(values) == {"144", "256", "psnr", "ssim", "flicker", "positions"}
    assert values["144"] == pytest.approx(psnr_of(2), abs=1e-4)
    assert values["256"] == pytest.approx(psnr_of(4), abs=1e-4)
    assert values["psnr"] == pytest.approx((psnr_of(2) + 3 * psnr_of(4)) / 4, abs=1e-4)
    assert values["positions"] == pytest.approx([values["psnr"]] * 5)


def test_both_sides_are_rounded_to_8_bits():
    crops = {16: GREY + 0.4 / 127.5}
    values = evaluate_crops(lambda video: shift(video, [10.0] * 9), crops)
    assert values["psnr"] == pytest.approx(psnr_of(10), abs=1e-4)


def test_no_gradient_is_recorded():
    weight = torch.ones((), requires_grad=True)
    states = []

    def reconstruct(video):
        states.append((video * weight).requires_grad)
        return video

    evaluate_crops(reconstruct, {16: GREY})
    assert states == [False]
