"""Candidates: VAEs of this package with any schedule, and baselines."""

import dataclasses

import pytest
import torch

import odvae_core as odvae
from odvae_core.evaluation import make_baseline_candidate, make_vae_candidate
from odvae_core.evaluation.candidates import (
    BASELINES,
    Compression,
    compute_vcpr,
    count_vcpr,
    keep_group_means,
    keep_nearest,
    shrink_frames,
)
from odvae_core.padding import ClipSize

SIZE = ClipSize(9, 16, 24)


@pytest.fixture(scope="module")
def vae():
    torch.manual_seed(0)
    return odvae.build("odvae-tiny").eval().requires_grad_(False)


@pytest.mark.parametrize("schedule", [odvae.Whole(), odvae.Windows(5), odvae.Stream(5)])
def test_a_vae_reconstructs_from_the_posteriors_mode_by_its_schedule(vae, schedule):
    video = torch.rand(1, 3, 9, 16, 24) * 2 - 1
    candidate = make_vae_candidate("ours", vae, schedule, None, SIZE)
    expected = vae.decode(vae.encode(video, schedule).mode(), schedule)
    assert torch.equal(candidate.reconstruct(video), expected)


def test_its_facts_say_what_it_is_and_how_it_runs():
    vae = odvae.load("default")
    facts = make_vae_candidate("ours", vae, odvae.Whole(), None, SIZE).facts
    assert facts == {
        "parameters": vae.provenance.parameters,
        "vcpr_paper": 256,
        "vcpr": 3 * 9 * 16 * 24 / (vae.latent_channels * 3 * 2 * 3),
        "run": "Whole(), no tiles, float32 on cpu",
        "sha256": vae.provenance.sha256,
    }


def test_a_2d_vae_goes_frame_by_frame():
    with torch.device("meta"):
        images = odvae.build("sd-vae")
    candidate = make_vae_candidate("2D", images, odvae.Whole(), None, ClipSize(6, 16, 24))
    assert candidate.facts["vcpr"] == 3 * 64 / 4
    assert candidate.reconstruct(torch.zeros(1, 3, 6, 16, 24, device="meta")).shape[2] == 6


@pytest.mark.parametrize("name", ["bicubic-mean", "bicubic-nearest"])
@pytest.mark.parametrize("frames", [5, 7])
def test_other_frame_counts_and_sizes_are_padded_and_cropped_back(name, frames):
    video = torch.full((1, 3, frames, 20, 30), 0.25)
    candidate = make_baseline_candidate(name, ClipSize(frames, 20, 30))
    torch.testing.assert_close(candidate.reconstruct(video), video)


def test_a_baseline_has_no_parameters_and_three_values_a_point():
    assert make_baseline_candidate("bicubic-mean", SIZE).facts == {
        "parameters": 0,
        "vcpr_paper": 256,
        "vcpr": 3 * 9 * 16 * 24 / (3 * 3 * 2 * 3),
    }


def test_an_unknown_baseline_is_refused():
    with pytest.raises(ValueError, match=r"'lanczos'; choose one of bicubic-mean, bicubic-nearest"):
        make_baseline_candidate("lanczos", SIZE)


@pytest.mark.parametrize(
    ("schedule", "borders"),
    [
        (odvae.Whole(), ()),
        (odvae.Stream(5), ()),
        (odvae.Sweep(5), ()),
        (odvae.Windows(5), (5, 9, 13)),
        (odvae.Windows(9, decode_frames=13), (9, 13)),
        (odvae.Windows(33), ()),
    ],
)
def test_only_windows_join_where_encoder_or_decoder_start_anew(vae, schedule, borders):
    candidate = make_vae_candidate("ours", vae, schedule, None, ClipSize(17, 16, 16))
    assert candidate.borders == borders


def number_frames(frames):
    """A clip whose frames have their index as value."""
    return torch.arange(float(frames)).view(1, 1, -1, 1, 1).expand(1, 3, -1, 16, 16)


def test_groups_are_frame_0_and_then_four_frames_each():
    means = keep_group_means(number_frames(9))[0, 0, :, 0, 0]
    assert means.tolist() == [0, 2.5, 2.5, 2.5, 2.5, 6.5, 6.5, 6.5, 6.5]


def test_the_nearest_kept_frame_is_the_earlier_of_two():
    kept = keep_nearest(number_frames(9))[0, 0, :, 0, 0]
    assert kept.tolist() == [0, 0, 0, 4, 4, 4, 4, 8, 8]


def test_an_eighth_a_side_is_left():
    assert shrink_frames(torch.zeros(1, 3, 5, 64, 32)).shape == (1, 3, 5, 8, 4)


def test_a_flat_clip_comes_back_whole():
    video = torch.full((1, 3, 5, 32, 32), 0.25)
    for reconstruct in BASELINES.values():
        torch.testing.assert_close(reconstruct(video), video)


@pytest.mark.parametrize(
    "preset", ["odvae-v1.2", "ivvae-z16", "sd-vae", "wfvae-888", "opsvae-v1.2"]
)
@pytest.mark.parametrize("frames", [1, 9, 40])
def test_the_exact_ratio_is_the_values_of_a_video_by_those_of_its_latent(preset, frames):
    with torch.device("meta"):
        vae = odvae.build(preset)
        size = ClipSize(frames, 32, 48)
        video = torch.empty(1, 3, *dataclasses.astuple(size.padded(vae)))
        latent = vae.encode(video).mode()
    ratio = compute_vcpr(size, vae, vae.latent_channels)
    assert ratio == pytest.approx(video.numel() / latent.numel())


def test_the_papers_ratio_counts_neither_channels_nor_the_first_frame():
    assert count_vcpr(Compression(4, 8)) == 256
    assert count_vcpr(Compression(1, 8)) == 64
    ratios = [compute_vcpr(ClipSize(n, 256, 256), Compression(4, 8), 4) for n in (1, 25, 40001)]
    assert ratios == [48.0, pytest.approx(25 / 7 * 48), pytest.approx(192, abs=0.02)]
