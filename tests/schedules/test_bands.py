"""Bands of rows: exact in space, in less memory."""

from dataclasses import replace

import pytest
import torch

import odvae_core as odvae
from odvae_core.families.cvvae_config import PRESETS as CVVAE
from odvae_core.families.ivvae_config import PRESETS as IVVAE
from odvae_core.families.wfvae_config import WfvaeConfig
from odvae_core.layers.norm import FrameGroupNorm
from odvae_core.schedules.bands import split_into_parts
from tests.lineage import CONFIGS as LINEAGE
from tests.schedules.clips import both_ways, make_clip, make_vae


def narrow_levels(config):
    """CV-VAE's configuration, 32 channels wide everywhere."""
    return replace(config, levels=tuple(replace(level, channels=32) for level in config.levels))


CLIP = make_clip(9, 48, 16)
SWEPT = ("odvae-v1.1", "odvae-v1.2", "odvae-variant-2", "cvvae", "cvvae-sd3", "hunyuan-1.0")
STREAMED = (
    "odvae-stream",
    "ivvae-z4",
    "wan-2.1",
    "wan-2.2",
    "hunyuan-1.5",
    "wfvae-s4",
)
CONFIGS = {
    **LINEAGE,
    **{name: narrow_levels(CVVAE[name]) for name in ("cvvae", "cvvae-sd3")},
    "ivvae-z4": replace(IVVAE["ivvae-z4"], width=8),
    "wfvae-s4": WfvaeConfig(4, 4, 4, 4),
}
"""Narrow networks of the families that `make_vae` doesn't know."""


def make(name):
    """A small network of any family, in float64, its norms not at their first values."""
    if name not in CONFIGS:
        return make_vae(name)
    torch.manual_seed(0)
    vae = odvae.build(CONFIGS[name]).double().eval()
    with torch.no_grad():
        for weight in vae.parameters():
            weight += 0.1 * torch.randn_like(weight)
    return vae.requires_grad_(False)


def assert_equal_to_whole(name, *schedules):
    vae = make(name)
    whole = both_ways(vae, CLIP, odvae.Whole())
    for schedule in schedules:
        torch.testing.assert_close(both_ways(vae, CLIP, schedule), whole, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", SWEPT)
def test_a_sweep_in_bands_equals_the_whole_clip(name):
    assert_equal_to_whole(name, odvae.Sweep(5, rows=16), odvae.Sweep(5, rows=20, park=True))


@pytest.mark.parametrize("name", STREAMED)
def test_a_stream_in_bands_equals_the_whole_clip(name):
    assert_equal_to_whole(name, odvae.Stream(5, rows=16), odvae.Stream(5, rows=20, park=True))


@pytest.mark.parametrize(("name", "kind"), [("odvae-v1.2", "Sweep"), ("odvae-stream", "Stream")])
def test_progress_advances_evenly_to_its_end_and_may_cancel_within_a_step(name, kind):
    vae, calls = make(name), []
    schedule = getattr(odvae, kind)(5, rows=16)
    vae.encode(CLIP, schedule, progress=lambda done, total: calls.append((done, total)))
    (total,) = {total for _, total in calls}
    done = [done for done, _ in calls]
    assert done == sorted(done)
    assert done[-1] == total
    assert done.index(total) > 0.8 * len(done)
    assert len(done) > total  # within a step too, where it may cancel


def test_bands_of_one_row_equal_the_whole_clip():
    assert_equal_to_whole("odvae-v1.1", odvae.Sweep(9, rows=1))


def test_attention_over_time_goes_with_bands():
    vae = make_vae("odvae-v1.2", blocks=1, decoder_attention="temporal")
    whole = both_ways(vae, CLIP, odvae.Whole())
    swept = both_ways(vae, CLIP, odvae.Sweep(5, rows=16))
    torch.testing.assert_close(swept, whole, rtol=0, atol=1e-10)


def test_a_stream_of_chunks_in_bands_equals_the_whole_clip():
    vae = make_vae("odvae-stream")
    latent = vae.encode(CLIP).mean
    chunks = vae.decode_stream(latent.split(1, dim=2), odvae.Stream(5, rows=16))
    torch.testing.assert_close(torch.cat(list(chunks), 2), vae.decode(latent), rtol=0, atol=1e-10)


def test_half_precision_gives_the_result_of_whole_pictures():
    vae = make_vae("odvae-v1.2", dtype=torch.bfloat16)
    clip = CLIP.bfloat16()
    whole, banded = (vae.encode(clip, odvae.Sweep(5, rows=rows)).mean for rows in (None, 16))
    torch.testing.assert_close(banded, whole, rtol=0, atol=0.05 * whole.abs().max().item())


@pytest.mark.parametrize("name", ["odvae-v1.2", "ivvae-z4"])
def test_no_step_but_attention_sees_more_rows_than_a_band_and_its_halo(name):
    steps = make(name).decoder_pass().steps
    for part in split_into_parts(steps, height=24, size=lambda height: 4):
        whole = any(step.reach.whole for step in part.steps)
        assert whole == (len(part.bands) == 1)
        assert not whole or len(part.steps) == 1
        for band in part.bands:
            assert whole or band.bottom - band.top <= 4 + 2 * sum(s.reach.above for s in part.steps)


def test_the_bands_of_a_part_cover_its_rows_once():
    steps = make_vae("odvae-v1.2").encoder_pass().steps
    for part in split_into_parts(steps, height=40, size=lambda height: 7):
        rows = [row for band in part.bands for row in range(band.start, band.end)]
        assert rows == list(range(part.height))


def test_a_norm_of_each_frame_opens_a_part():
    steps = make_vae("odvae-stream").encoder_pass().steps
    parts = list(split_into_parts(steps, height=16, size=lambda height: 4))
    for part in parts:
        assert not any(isinstance(step.norm, FrameGroupNorm) for step in part.steps[1:])
    assert sum(part.following is not None for part in parts) > 10


def test_bands_and_tiles_of_a_stream_are_refused_together():
    vae, chunks = make_vae("odvae-stream"), [CLIP]
    with pytest.raises(ValueError, match="leave one of them out"):
        list(vae.encode_stream(chunks, odvae.Stream(5, rows=16), odvae.Tiles(16, 8)))


def test_a_stream_in_bands_is_refused_where_norms_span_the_clip():
    with pytest.raises(ValueError, match="a band would see its own statistics only"):
        make_vae("odvae-v1.2").encode(CLIP, odvae.Stream(5, rows=16))


@pytest.mark.parametrize("rows", [0, -1, 1.5, True])
def test_an_impossible_number_of_rows_is_refused(rows):
    with pytest.raises(ValueError, match="at least 1"):
        odvae.Sweep(5, rows=rows)
