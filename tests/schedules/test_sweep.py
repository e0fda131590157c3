"""Sweep: breadth first, equal to the whole clip."""

from itertools import pairwise

import pytest
import torch

import odvae_core as odvae
from odvae_core import constants
from odvae_core.layers.conv import CausalConv3d, FrameConv2d
from odvae_core.schedules.sweep import split_at_norms
from tests.contract import draw_cuts
from tests.schedules.clips import (
    VIDEO_PRESETS,
    ConvolvedFrames,
    both_ways,
    count_convolved,
    make_clip,
    make_vae,
)


@pytest.mark.parametrize("preset", VIDEO_PRESETS)
@pytest.mark.parametrize("frames", [5, 13])
def test_a_sweep_equals_the_whole_clip(preset, frames):
    vae, clip = make_vae(preset), make_clip()
    whole, swept = both_ways(vae, clip, odvae.Whole()), both_ways(vae, clip, odvae.Sweep(frames))
    torch.testing.assert_close(swept, whole, rtol=0, atol=1e-10)


def test_a_sweep_equals_the_whole_clip_in_float32_at_width_64():
    vae, clip = make_vae("odvae-v1.2", 64, torch.float32), make_clip(9, 16, 16, torch.float32)
    whole, swept = both_ways(vae, clip, odvae.Whole()), both_ways(vae, clip, odvae.Sweep(5))
    torch.testing.assert_close(swept, whole, rtol=0, atol=2e-5)


@pytest.mark.parametrize("preset", ["odvae-v1.1", "odvae-v1.2", "odvae-stream"])
def test_a_sweep_convolves_exactly_the_frames_of_the_whole_clip(preset):
    vae, clip = make_vae(preset), make_clip()
    assert count_convolved(vae, clip, odvae.Sweep(5)) == count_convolved(vae, clip, odvae.Whole())


@pytest.mark.parametrize("lengths", list(draw_cuts(17, count=4)))
def test_a_sweep_equals_the_whole_clip_for_any_partition_of_it(monkeypatch, lengths):
    def cut(clip, first, later):
        pieces = [n for n in lengths if n] if clip.shape[2] == 17 else [1] * clip.shape[2]
        return iter(clip.split(pieces, dim=2))

    vae, clip = make_vae("odvae-v1.1"), make_clip(17, 16, 16)
    whole = both_ways(vae, clip, odvae.Whole())
    monkeypatch.setattr("odvae_core.schedules.sweep.cut_clip", cut)
    torch.testing.assert_close(both_ways(vae, clip, odvae.Sweep()), whole, rtol=0, atol=1e-10)


@pytest.mark.parametrize("norm", ["clip", "frame"])
def test_a_sweep_equals_the_whole_clip_where_attention_is_over_time(norm):
    attention = {"encoder_attention": "temporal", "decoder_attention": "temporal"}
    vae, clip = make_vae("odvae-v1.2", norm=norm, blocks=1, **attention), make_clip(13)
    for frames in (5, 9):
        swept = both_ways(vae, clip, odvae.Sweep(frames))
        for result, whole in zip(swept, both_ways(vae, clip, odvae.Whole()), strict=True):
            torch.testing.assert_close(result, whole, rtol=0, atol=1e-10)


def test_a_slab_is_cut_finer_where_a_tensor_would_outgrow_its_index(monkeypatch):
    vae, clip = make_vae("odvae-v1.2"), make_clip(17, 16, 16)
    whole = both_ways(vae, clip, odvae.Whole())
    limit = 32 * 4 * 16 * 16 * 5
    monkeypatch.setattr("odvae_core.layers.stream.INDEX_LIMIT", limit)
    counter = ConvolvedFrames(vae)
    swept = both_ways(vae, clip, odvae.Sweep(17))
    assert counter.largest < limit
    torch.testing.assert_close(swept, whole, rtol=0, atol=1e-10)


def test_the_index_limit_is_that_of_32_bits():
    assert constants.INDEX_LIMIT == 2**31


def test_a_sweep_that_parks_its_features_equals_the_whole_clip():
    vae, clip = make_vae("odvae-v1.2"), make_clip(9)
    parked = both_ways(vae, clip, odvae.Sweep(5, park=True))
    torch.testing.assert_close(parked, both_ways(vae, clip, odvae.Whole()), rtol=0, atol=1e-10)


def test_a_sweep_goes_from_one_clip_norm_to_the_next():
    steps = make_vae("odvae-v1.2").encoder_pass().steps
    segments = list(split_at_norms(steps))
    assert [step for segment, _ in segments for step in segment] == list(steps)
    assert segments[-1][1] is None
    for (_, following), (segment, _) in pairwise(segments):
        assert segment[0].norm is following


def test_the_outer_levels_of_v1_2_are_one_segment():
    """Their norms are per frame: the encoder sweeps them depth first, in the memory of a slab."""
    vae = make_vae("odvae-v1.2")
    first, _ = next(split_at_norms(vae.encoder_pass().steps))
    assert len(first) > 8
    assert any(isinstance(module, FrameConv2d) for module in vae.encoder.modules())
    assert any(isinstance(module, CausalConv3d) for module in vae.encoder.modules())
