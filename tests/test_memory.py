"""odvae_core/memory.py: what a cut needs, and the largest one that fits."""

from dataclasses import replace

import pytest
import torch

import odvae_core as odvae
from odvae_core import memory
from odvae_core.families.odvae_config import PRESETS

GIB = 2**30


def make_vae(preset):
    with torch.device("meta"):
        return odvae.build(replace(PRESETS[preset], width=32, blocks=1))


def first_cut(vae, encoding, shape, device, host):
    return next(memory.fitting_cuts(vae, encoding, shape, device, host))


@pytest.mark.parametrize("encoding", [True, False])
def test_need_grows_with_the_pictures_area(encoding):
    vae = make_vae("odvae-v1.2")
    small, large = (
        memory.need(vae, encoding, (1, 3 if encoding else 4, 9, side, side), odvae.Whole(), None)
        for side in (64, 128)
    )
    assert 3.9 < large.device / small.device < 4.1


@pytest.mark.parametrize("schedule", [odvae.Windows(5), odvae.Stream(5)])
def test_what_windows_and_streams_need_does_not_grow_with_the_clips_length(schedule):
    vae = make_vae("odvae-stream")
    short, long = (
        memory.need(vae, True, (1, 3, frames, 64, 64), schedule, None).device
        for frames in (65, 1001)
    )
    assert long == pytest.approx(short, rel=0.01)


def test_what_a_sweep_keeps_grows_with_the_clips_length_much_less_than_the_whole_clip():
    vae = make_vae("odvae-v1.2")

    def growth(schedule):
        short, long = (
            memory.need(vae, False, (1, 4, latents, 8, 8), schedule, None).device
            for latents in (17, 251)
        )
        return long - short

    assert 0 < growth(odvae.Sweep(5)) < growth(odvae.Whole()) / 4


def test_the_count_of_a_long_clip_continues_that_of_short_ones():
    config, schedule = PRESETS["odvae-tiny"], odvae.Sweep(5)
    extended = memory.count_frames(config, torch.float32, True, 41, schedule)["meta"]
    counted = memory.count(config, torch.float32, True, 41, schedule)["meta"]
    assert extended == pytest.approx(counted, rel=0.05)


def test_inference_mode_changes_no_count():
    config, schedule = PRESETS["odvae-tiny"], odvae.Whole()
    expected = memory.count.__wrapped__(config, torch.float32, True, 5, schedule)
    with torch.inference_mode():
        assert memory.count.__wrapped__(config, torch.float32, True, 5, schedule) == expected


def test_half_the_precision_needs_about_half_the_memory():
    vae = make_vae("odvae-stream")
    shape = (1, 3, 9, 64, 64)
    single = memory.need(vae, True, shape, odvae.Whole(), None).device
    half = memory.need(vae.to(torch.bfloat16), True, shape, odvae.Whole(), None).device
    assert 0.45 < half / single < 0.6


def test_parked_features_count_as_the_hosts():
    vae = make_vae("odvae-v1.2")
    shape = (1, 4, 65, 16, 16)
    kept = memory.need(vae, False, shape, odvae.Sweep(5), None)
    parked = memory.need(vae, False, shape, odvae.Sweep(5, park=True), None)
    assert parked.device < kept.device / 3
    assert parked.host > kept.device / 2


def test_a_clip_that_fits_is_run_whole():
    cut = first_cut(make_vae("odvae-v1.2"), True, (1, 3, 9, 64, 64), 8 * GIB, 8 * GIB)
    assert (cut.schedule, cut.tiles, cut.exact) == (odvae.Whole(), None, True)


def test_with_less_memory_the_cut_gets_finer_and_stays_exact_as_long_as_it_can():
    vae, shape = make_vae("odvae-v1.2"), (1, 4, 17, 32, 32)
    whole = memory.need(vae, False, shape, odvae.Whole(), None).device
    cuts = [first_cut(vae, False, shape, int(whole * share), GIB) for share in (1, 0.7, 0.04)]
    for cut, share in zip(cuts, (1, 0.7, 0.04), strict=True):
        assert cut.need.device <= whole * share
    assert [cut.exact for cut in cuts] == [True, True, False]
    assert cuts[0].schedule == odvae.Whole()
    assert isinstance(cuts[1].schedule, odvae.Sweep)
    assert cuts[2].tiles is not None


def test_parking_never_takes_more_than_its_share_of_the_host():
    vae, shape = make_vae("odvae-v1.2"), (1, 4, 33, 32, 32)
    kept = memory.need(vae, False, shape, odvae.Sweep(5), None).device
    parked = memory.need(vae, False, shape, odvae.Sweep(5, park=True), None)
    assert first_cut(vae, False, shape, kept // 2, 64 * GIB).schedule.park
    just_too_small = int(parked.host / memory.PARKED_SHARE) - 1
    cut = first_cut(vae, False, shape, kept // 2, just_too_small)
    assert not getattr(cut.schedule, "park", False)


def test_a_model_that_streams_exactly_is_streamed_and_never_swept():
    vae = make_vae("odvae-stream")
    cuts = [schedule for schedule, _, _ in memory.list_cuts(vae.decoding(), parks=True)]
    assert not any(isinstance(schedule, odvae.Sweep) for schedule in cuts)
    assert isinstance(cuts[1], odvae.Stream)


def test_a_model_that_cannot_be_cut_gets_its_authors_windows():
    cuts = list(memory.list_cuts(make_vae("odvae-v1.0").decoding(), parks=True))
    assert all(isinstance(schedule, odvae.Whole | odvae.Windows) for schedule, _, _ in cuts)
    assert [exact for _, _, exact in cuts] == [True] + [False] * (len(cuts) - 1)


def test_where_nothing_fits_the_error_says_what_is_needed_and_what_is_there():
    with pytest.raises(MemoryError, match=r"needs .* GiB on the device.*0\.0 GiB"):
        first_cut(make_vae("odvae-tiny"), True, (1, 3, 9, 256, 256), 1000, 1000)


def test_a_containers_limit_is_honoured(tmp_path):
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("300\n")
    assert memory.container_limit(tmp_path) == 700
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.container_limit(tmp_path) > 2**60
    assert memory.container_limit(tmp_path / "absent") > 2**60


def test_on_the_cpu_the_device_is_the_host():
    device, host = memory.available_memory(torch.device("cpu"))
    assert device == host > 0
