"""PSNR, SSIM and flicker, compared with hand-computed values and with torchmetrics."""

import math

import pytest
import torch
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from odvae_core.metrics import MAX_PSNR, MetricCollector, flicker, psnr, quantize, ssim


@pytest.fixture
def clips():
    generator = torch.Generator().manual_seed(0)
    reference = torch.rand(2, 3, 4, 24, 30, generator=generator) * 2 - 1
    noise = torch.rand(2, 3, 4, 24, 30, generator=generator) * 0.4 - 0.2
    return (reference + noise).clamp(-1, 1), reference


def test_psnr_takes_minus_one_to_one_as_the_whole_range():
    """An error of 0.2 in [-1, 1] is 0.1 of the range: 20 dB, not 14."""
    grey = torch.zeros(1, 3, 2, 8, 8)
    torch.testing.assert_close(psnr(grey + 0.2, grey), torch.full((1, 2), 20.0).double())


def test_psnr_of_identical_frames_is_infinite_and_of_the_others_is_not():
    grey = torch.zeros(1, 3, 2, 8, 8)
    changed = grey.clone()
    changed[:, :, 1] = 2.0
    assert psnr(changed, grey).tolist() == [[math.inf, 0.0]]


def test_psnr_agrees_with_torchmetrics_on_every_frame(clips):
    ours = psnr(*clips)
    for b in range(2):
        for t in range(4):
            frame, reference = (clip[b, :, t].double() for clip in clips)
            theirs = peak_signal_noise_ratio(frame, reference, data_range=2.0)
            torch.testing.assert_close(ours[b, t], theirs)


def test_ssim_agrees_with_torchmetrics_on_every_frame(clips):
    """Theirs has a border of 5 that sees mirrored pixels; inside it is the valid window."""
    ours = ssim(*clips)
    for b in range(2):
        for t in range(4):
            frame, reference = ((clip[b : b + 1, :, t].double() + 1) / 2 for clip in clips)
            _, picture = structural_similarity_index_measure(
                frame, reference, data_range=1.0, return_full_image=True
            )
            theirs = picture[..., 5:-5, 5:-5].mean()
            torch.testing.assert_close(ours[b, t], theirs, atol=1e-6, rtol=0)


def test_ssim_of_two_flat_pictures_is_the_luminance_term_alone():
    dark, bright = torch.full((1, 3, 1, 11, 11), -0.5), torch.full((1, 3, 1, 11, 11), 0.5)
    expected = (2 * 0.25 * 0.75 + 1e-4) / (0.25**2 + 0.75**2 + 1e-4)
    assert ssim(dark, bright).item() == pytest.approx(expected, abs=1e-9)
    assert ssim(bright, bright).item() == pytest.approx(1.0, abs=1e-12)


def test_ssim_refuses_frames_smaller_than_its_window():
    small = torch.zeros(1, 3, 1, 10, 40)
    with pytest.raises(ValueError, match=r"10x40.*11 or more"):
        ssim(small, small)


def test_flicker_is_the_error_of_the_change_between_frames():
    reference = torch.zeros(1, 3, 3, 4, 4)
    blinking = reference.clone()
    blinking[:, :, 1] = 0.5
    torch.testing.assert_close(
        flicker(blinking, reference), torch.full((1, 2), 0.25, dtype=torch.float64)
    )


def test_flicker_ignores_an_error_that_stands_still(clips):
    _, reference = clips
    torch.testing.assert_close(
        flicker(reference + 0.3, reference), torch.zeros(2, 3).double(), atol=1e-7, rtol=0
    )


def test_figures_of_chunks_are_the_figures_of_the_clip(clips):
    video, reference = clips
    for figure in (psnr, ssim):
        halves = [figure(video[:, :, s], reference[:, :, s]) for s in (slice(2), slice(2, 4))]
        torch.testing.assert_close(torch.cat(halves, dim=1), figure(video, reference))


def test_half_precision_video_is_measured_in_float64(clips):
    video, reference = (clip.bfloat16() for clip in clips)
    assert psnr(video, reference).dtype == torch.float64
    torch.testing.assert_close(psnr(video, reference), psnr(video.float(), reference.float()))


def test_shapes_that_differ_are_refused():
    """Broadcasting would give a figure, and a wrong one."""
    with pytest.raises(ValueError, match=r"\[1, 3, 2, 8, 8\] and \[1, 3, 1, 8, 8\]"):
        psnr(torch.zeros(1, 3, 2, 8, 8), torch.zeros(1, 3, 1, 8, 8))


def test_quantize_rounds_to_the_nearest_of_256_levels_and_clamps():
    levels = torch.arange(256).float() / 127.5 - 1
    torch.testing.assert_close(quantize(levels), levels)
    nudged = levels + 0.49 / 127.5 * torch.tensor([1.0, -1.0]).repeat(128)
    torch.testing.assert_close(quantize(nudged), levels)
    assert quantize(torch.tensor([-1.7, 1.7])).tolist() == [-1.0, 1.0]


def test_a_collector_of_overlapping_chunks_gives_the_metrics_of_the_clip():
    video, reference = torch.rand(2, 1, 3, 9, 16, 16) * 2 - 1
    collector = MetricCollector(max_psnr=MAX_PSNR)
    collector.add(video[:, :, :4], reference[:, :, :4])
    collector.add(video[:, :, 3:], reference[:, :, 3:], overlap=1)
    for name, metric in (("psnr", psnr), ("ssim", ssim), ("flicker", flicker)):
        expected = metric(video, reference)[0]
        assert collector.per_frame(name) == pytest.approx(expected.tolist())
        assert collector.means()[name] == pytest.approx(float(expected.mean()))


def test_a_collector_measures_the_chosen_metrics_and_clamps_psnr():
    video = torch.zeros(1, 3, 2, 4, 4)
    collector = MetricCollector(("psnr",), max_psnr=MAX_PSNR)
    collector.add(video, video)
    assert collector.means() == {"psnr": MAX_PSNR}
