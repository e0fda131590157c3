"""What all schedules share."""

import pytest
import torch

import odvae_core as odvae
from odvae_core.schedules.base import Output
from tests.schedules.clips import ConvolvedFrames, both_ways, make_clip, make_vae


class CancelledError(Exception):
    pass


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


@pytest.mark.parametrize("schedule", [odvae.Windows(8), odvae.Stream(2), odvae.Sweep(7)])
def test_a_cut_of_other_than_1_plus_4k_frames_is_refused_with_the_nearest(schedule):
    with pytest.raises(ValueError, match=r"takes 1 \+ 4k.*try"):
        make_vae("odvae-tiny").encode(make_clip(9), schedule)


@pytest.mark.parametrize("kind", [odvae.Windows, odvae.Stream, odvae.Sweep])
@pytest.mark.parametrize("frames", [None, -1, 0, 1, True, 5.0, "5"])
def test_a_schedule_of_what_is_no_number_of_frames_cannot_be_made(kind, frames):
    with pytest.raises(ValueError, match=r"got frames=.*it is a whole number of video frames"):
        kind(frames)


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


def test_the_result_has_the_clips_type_and_place():
    vae = make_vae("odvae-tiny", dtype=torch.bfloat16)
    clip = make_clip(9, dtype=torch.float32)
    for schedule in (odvae.Whole(), odvae.Windows(5), odvae.Stream(5), odvae.Sweep(5)):
        mean, decoded = both_ways(vae, clip, schedule)
        assert mean.dtype == decoded.dtype == torch.float32


def test_the_output_is_allocated_once():
    clip = make_clip(5)
    output = Output(5, clip)
    output.append(clip[:, :, :2])
    place = output.video.data_ptr()
    output.append(clip[:, :, 2:])
    assert output.whole().data_ptr() == place
    assert torch.equal(output.whole(), clip)


@pytest.mark.parametrize("schedule", [odvae.Whole(), odvae.Windows(5), odvae.Stream(5)])
def test_a_tensor_that_would_exceed_32_bit_indices_is_refused(monkeypatch, schedule):
    vae, clip = make_vae("odvae-stream"), make_clip()
    vae.encode(clip, schedule)
    monkeypatch.setattr("odvae_core.layers.stream.INDEX_LIMIT", 2**14)
    with pytest.raises(ValueError, match="exceed 32-bit indices: take smaller pieces or tiles"):
        vae.encode(clip, schedule)
