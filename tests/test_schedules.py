"""odvae_core/schedules: how a clip is cut must not show, where it is said to be exact."""

import logging
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

import odvae_core as odvae
from odvae_core import constants
from odvae_core.families.odvae_config import PRESETS
from odvae_core.layers.conv import CausalConv3d, FrameConv2d
from odvae_core.schedules.base import Output, mark_last, recut
from odvae_core.schedules.sweep import split_at_norms
from tests.contract import draw_cuts

VIDEO_PRESETS = [name for name in PRESETS if name not in ("sd-vae", "odvae-v1.0")]
STREAMING = ("odvae-stream", "odvae-tiny")


def make_vae(preset, width=32, dtype=torch.float64, **changes):
    """A small model whose norms are not at their first values."""
    torch.manual_seed(0)
    vae = odvae.build(replace(PRESETS[preset], width=width, **changes)).to(dtype).eval()
    with torch.no_grad():
        for weight in vae.parameters():
            if weight.ndim == 1:
                weight += 0.2 * torch.randn_like(weight)
    return vae.requires_grad_(False)


def make_clip(frames=17, height=16, width=24, dtype=torch.float64):
    generator = torch.Generator().manual_seed(frames)
    return torch.rand(1, 3, frames, height, width, generator=generator, dtype=dtype) * 2 - 1


def both_ways(vae, clip, schedule, tiles=None):
    """The latent, and the video of a latent that hangs on no schedule."""
    latent = clip[:, :1, :: vae.temporal_compression, ::8, ::8].repeat(
        1, vae.latent_channels, 1, 1, 1
    )
    return vae.encode(clip, schedule, tiles).mean, vae.decode(latent, schedule, tiles)


class ConvolvedFrames:
    """Counts the frames that go into the convolutions, and the largest tensor that one sees."""

    def __init__(self, vae):
        self.frames, self.largest = 0, 0
        self.hooks = [
            module.register_forward_hook(self.count)
            for module in vae.modules()
            if isinstance(module, torch.nn.Conv3d | torch.nn.Conv2d)
        ]

    def count(self, module, inputs, output):
        self.frames += output.shape[2]
        self.largest = max(self.largest, inputs[0].numel())

    def remove(self):
        for hook in self.hooks:
            hook.remove()


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


def count_convolved(vae, clip, schedule):
    """Frames convolved by the encoder and by the decoder."""
    counter = ConvolvedFrames(vae)
    latent = vae.encode(clip, schedule).mean
    encoded = counter.frames
    vae.decode(latent, schedule)
    counter.remove()
    return encoded, counter.frames - encoded


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


@pytest.mark.parametrize("preset", STREAMING)
@pytest.mark.parametrize("frames", [5, 9])
def test_a_stream_equals_the_whole_clip_where_norms_are_per_frame(preset, frames):
    vae, clip = make_vae(preset), make_clip()
    whole, streamed = (
        both_ways(vae, clip, odvae.Whole()),
        both_ways(vae, clip, odvae.Stream(frames)),
    )
    torch.testing.assert_close(streamed, whole, rtol=0, atol=1e-10)


@pytest.mark.parametrize("norm", ["clip", "frame"])
def test_a_sweep_equals_the_whole_clip_where_attention_is_over_time(norm):
    attention = {"encoder_attention": "temporal", "decoder_attention": "temporal"}
    vae, clip = make_vae("odvae-v1.2", norm=norm, blocks=1, **attention), make_clip(13)
    for frames in (5, 9):
        swept = both_ways(vae, clip, odvae.Sweep(frames))
        for result, whole in zip(swept, both_ways(vae, clip, odvae.Whole()), strict=True):
            torch.testing.assert_close(result, whole, rtol=0, atol=1e-10)


@pytest.mark.parametrize("norm", ["clip", "frame"])
def test_attention_over_time_cannot_be_streamed(norm):
    vae = make_vae("odvae-v1.2", norm=norm, blocks=1, encoder_attention="temporal")
    assert not vae.encoder_pass().streams_exactly
    with pytest.raises(ValueError, match="its temporal attention sees all frames"):
        vae.encode(make_clip(5), odvae.Stream(5))


def test_a_stream_of_a_model_with_clip_norms_says_that_it_is_approximate(caplog):
    vae, clip = make_vae("odvae-v1.2"), make_clip()
    with caplog.at_level(logging.WARNING):
        mean = vae.encode(clip, odvae.Stream(5)).mean
    assert caplog.text.count("approximate") == 1
    assert (mean - vae.encode(clip).mean).abs().max() > 1e-6


def test_a_stream_of_chunks_says_so_too_and_carries_no_gradient(caplog):
    vae, clip = make_vae("odvae-v1.2"), make_clip(9)
    with caplog.at_level(logging.WARNING):
        list(vae.encode_stream(clip.split(4, dim=2), odvae.Stream(5)))
    assert caplog.text.count("approximate") == 1
    with pytest.raises(RuntimeError, match="only Whole and Windows carry gradients"):
        list(vae.requires_grad_().encode_stream([clip], odvae.Stream(5)))


@pytest.mark.parametrize("schedule", [odvae.Stream(5), odvae.Sweep(5)])
def test_attention_that_mixes_channels_with_time_is_refused(schedule):
    vae, clip = make_vae("odvae-v1.0"), make_clip(9)
    with pytest.raises(ValueError, match="mixes channels with time"):
        vae.encode(clip, schedule)
    with pytest.raises(ValueError, match="mixes channels with time"):
        vae.decode(vae.encode(clip).mean, schedule)


@pytest.mark.parametrize("schedule", [odvae.Stream(5), odvae.Sweep(5)])
def test_a_cut_that_carries_no_gradient_says_so(schedule):
    vae = make_vae("odvae-tiny", dtype=torch.float32)
    clip = make_clip(9, 16, 16, torch.float32).requires_grad_()
    with pytest.raises(RuntimeError, match="only Whole and Windows carry gradients"):
        vae.encode(clip, schedule)
    with torch.no_grad():
        vae.encode(clip, schedule)


@pytest.mark.parametrize("schedule", [odvae.Whole(), odvae.Windows(5)])
def test_whole_and_windows_carry_gradients(schedule):
    vae = make_vae("odvae-tiny", dtype=torch.float32).requires_grad_()
    clip = make_clip(9, 16, 16, torch.float32).requires_grad_()
    latent = vae.encode(clip, schedule).sample()
    vae.decode(latent, schedule).square().mean().backward()
    assert clip.grad is not None
    assert clip.grad.abs().sum() > 0
    assert not [name for name, weight in vae.named_parameters() if weight.grad is None]


def test_windows_share_one_frame_that_is_dropped():
    vae, clip = make_vae("odvae-v1.2"), make_clip(13)
    windows = [vae.encode(clip[:, :, start : start + 9]).mean for start in (0, 8)]
    expected = torch.cat([windows[0], windows[1][:, :, 1:]], dim=2)
    torch.testing.assert_close(vae.encode(clip, odvae.Windows(9)).mean, expected)


def test_windows_longer_than_the_clip_are_the_whole_clip():
    vae, clip = make_vae("odvae-v1.2"), make_clip(9)
    assert torch.equal(vae.encode(clip, odvae.Windows()).mean, vae.encode(clip).mean)


def test_published_windows_have_upstreams_own_sizes():
    assert odvae.Windows.published("odvae-v1.2") == odvae.Windows(33, decode_frames=61)
    assert odvae.Windows.published("odvae-v1.1") == odvae.Windows(65)
    with pytest.raises(ValueError, match=r"odvae-v1\.0.*windows are published for"):
        odvae.Windows.published("odvae-v1.0")


@pytest.mark.parametrize("schedule", [odvae.Windows(8), odvae.Stream(2), odvae.Sweep(7)])
def test_a_cut_of_other_than_1_plus_4k_frames_is_refused_with_the_nearest(schedule):
    with pytest.raises(ValueError, match=r"takes 1 \+ 4k.*try"):
        make_vae("odvae-tiny").encode(make_clip(9), schedule)


@pytest.mark.parametrize("kind", [odvae.Windows, odvae.Stream, odvae.Sweep])
@pytest.mark.parametrize("frames", [None, -1, 0, 1, True, 5.0, "5"])
def test_a_schedule_of_what_is_no_number_of_frames_cannot_be_made(kind, frames):
    with pytest.raises(ValueError, match=r"got frames=.*it is a whole number of video frames"):
        kind(frames)


def test_windows_refuse_frames_to_decode_that_cannot_be():
    with pytest.raises(ValueError, match="got decode_frames=0"):
        odvae.Windows(5, 0)


@pytest.mark.parametrize(
    "schedule", [odvae.Whole(), odvae.Windows(5), odvae.Stream(5), odvae.Sweep(5)]
)
@pytest.mark.parametrize("preset", ["odvae-v1.2", "odvae-stream", "odvae-v1.0"])
def test_a_schedule_says_whether_it_is_exact_for_a_network_and_means_it(schedule, preset):
    vae = make_vae(preset)
    if schedule.refusal(vae.encoder_pass()):
        with pytest.raises(ValueError, match="can't be cut so"):
            vae.encode(make_clip(13), schedule)
        return
    mean, whole = (vae.encode(make_clip(13), cut).mean for cut in (schedule, odvae.Whole()))
    distance = float((mean - whole).abs().max())
    assert (distance < 1e-9) is schedule.is_exact(vae.encoder_pass())


@pytest.mark.parametrize("coding", ["encode", "decode"])
def test_windows_say_where_the_network_starts_anew(coding):
    vae = make_vae("odvae-v1.2")
    coder = vae.encoder_pass() if coding == "encode" else vae.decoder_pass()
    assert list(odvae.Windows(5, 9).seams(coder, 17)) == ([5, 9, 13] if coding == "encode" else [9])
    assert list(odvae.Stream(5).seams(coder, 17)) == []


@pytest.mark.parametrize(
    "schedule", [odvae.Whole(), odvae.Windows(5), odvae.Stream(5), odvae.Sweep(5)]
)
@pytest.mark.parametrize("tiles", [None, odvae.Tiles(16, overlap=8)])
def test_progress_counts_up_to_its_total(schedule, tiles):
    vae, clip, calls = make_vae("odvae-tiny"), make_clip(13), []
    vae.encode(clip, schedule, tiles, progress=lambda *call: calls.append(call))
    done, totals = zip(*calls, strict=True)
    assert list(done) == sorted(done)
    assert done[-1] == totals[-1]
    assert len(set(totals)) == 1
    assert len(calls) >= totals[0]


class CancelledError(Exception):
    pass


@pytest.mark.parametrize(
    "schedule", [odvae.Whole(), odvae.Windows(5), odvae.Stream(5), odvae.Sweep(5)]
)
def test_an_interrupted_pass_leaves_nothing_behind(schedule):
    vae, clip = make_vae("odvae-v1.2"), make_clip(13)
    before = vae.encode(clip, schedule).mean

    def cancel(done, total):
        if done > total // 2:
            raise CancelledError

    with pytest.raises(CancelledError):
        vae.encode(make_clip(13) * 0.1, schedule, progress=cancel)
    assert torch.equal(vae.encode(clip, schedule).mean, before)


def test_a_slab_is_cut_finer_where_a_tensor_would_outgrow_its_index(monkeypatch):
    vae, clip = make_vae("odvae-v1.2"), make_clip(17, 16, 16)
    whole = both_ways(vae, clip, odvae.Whole())
    limit = 32 * 4 * 16 * 16 * 5
    monkeypatch.setattr("odvae_core.schedules.sweep.INDEX_LIMIT", limit)
    counter = ConvolvedFrames(vae)
    swept = both_ways(vae, clip, odvae.Sweep(17))
    assert counter.largest < limit
    torch.testing.assert_close(swept, whole, rtol=0, atol=1e-10)


@pytest.mark.parametrize("preset", ["odvae-v1.2", "odvae-stream"])
@pytest.mark.parametrize("schedule", [odvae.Windows(5), odvae.Stream(5), odvae.Sweep(5)])
def test_the_largest_tensor_that_a_layer_sees_does_not_grow_with_the_clips_length(preset, schedule):
    vae, largest = make_vae(preset, dtype=torch.float32), []
    for frames in (13, 29):
        counter = ConvolvedFrames(vae)
        both_ways(vae, make_clip(frames, 16, 16, torch.float32), schedule)
        counter.remove()
        largest.append(counter.largest)
    assert largest[0] == largest[1]


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


def test_the_result_has_the_clips_type_and_place():
    vae = make_vae("odvae-tiny", dtype=torch.bfloat16)
    clip = make_clip(9, dtype=torch.float32)
    for schedule in (odvae.Whole(), odvae.Windows(5), odvae.Stream(5), odvae.Sweep(5)):
        mean, decoded = both_ways(vae, clip, schedule)
        assert mean.dtype == decoded.dtype == torch.float32


def test_chunks_are_cut_again_to_the_wanted_lengths():
    clip = make_clip(14)
    for lengths in ((14,), (1,) * 14, (3, 0, 11)):
        chunks = list(recut(clip.split(lengths, dim=2), 5, 4))
        assert [chunk.shape[2] for chunk in chunks] == [5, 4, 4, 1]
        assert torch.equal(torch.cat(chunks, dim=2), clip)


def test_the_last_chunk_is_known_by_holding_one_back():
    assert [last for _, last in mark_last(make_clip(3).split(1, dim=2))] == [False, False, True]
    assert list(mark_last([])) == []


def test_the_output_is_allocated_once():
    clip = make_clip(5)
    output = Output(5, clip)
    output.append(clip[:, :, :2])
    place = output.video.data_ptr()
    output.append(clip[:, :, 2:])
    assert output.whole().data_ptr() == place
    assert torch.equal(output.whole(), clip)
