"""odvae_core/cuts.py: the best cut that fits."""

from dataclasses import replace

import pytest
import torch

import odvae_core as odvae
from odvae_core import cuts, memory
from odvae_core.families.odvae_config import PRESETS

GIB = 2**30


def make_vae(preset):
    with torch.device("meta"):
        return odvae.build(replace(PRESETS[preset], width=32, blocks=1))


def first_cut(vae, encoding, shape, device, host):
    return next(cuts.fitting_cuts(vae, encoding, shape, device, host))


def test_a_clip_that_fits_is_run_whole():
    cut = first_cut(make_vae("odvae-v1.2"), True, (1, 3, 9, 64, 64), 8 * GIB, 8 * GIB)
    assert (cut.schedule, cut.tiles, cut.exact) == (odvae.Whole(), None, True)


def test_with_less_memory_the_cut_gets_finer_and_stays_exact_as_long_as_it_can():
    vae, shape = make_vae("odvae-v1.2"), (1, 4, 17, 32, 32)
    whole = memory.need(vae, False, shape, odvae.Whole(), None).device
    chosen = [first_cut(vae, False, shape, int(whole * share), GIB) for share in (1, 0.7, 0.04)]
    for cut, share in zip(chosen, (1, 0.7, 0.04), strict=True):
        assert cut.need.device <= whole * share
    assert [cut.exact for cut in chosen] == [True, True, False]
    assert chosen[0].schedule == odvae.Whole()
    assert isinstance(chosen[1].schedule, odvae.Sweep)
    assert chosen[2].tiles is not None


def test_parking_never_takes_more_than_its_share_of_the_host():
    vae, shape = make_vae("odvae-v1.2"), (1, 4, 33, 32, 32)
    kept = memory.need(vae, False, shape, odvae.Sweep(5), None).device
    parked = memory.need(vae, False, shape, odvae.Sweep(5, park=True), None)
    assert first_cut(vae, False, shape, kept // 2, 64 * GIB).schedule.park
    just_too_small = int(parked.host / cuts.PARKED_SHARE) - 1
    cut = first_cut(vae, False, shape, kept // 2, just_too_small)
    assert not getattr(cut.schedule, "park", False)


def test_a_model_that_streams_exactly_is_streamed_and_never_swept():
    vae = make_vae("odvae-stream")
    schedules = [schedule for schedule, _, _ in cuts.list_cuts(vae.decoding(), parks=True)]
    assert not any(isinstance(schedule, odvae.Sweep) for schedule in schedules)
    assert isinstance(schedules[1], odvae.Stream)


def test_a_model_that_cannot_be_cut_gets_its_authors_windows():
    listed = list(cuts.list_cuts(make_vae("odvae-v1.0").decoding(), parks=True))
    assert all(isinstance(schedule, odvae.Whole | odvae.Windows) for schedule, _, _ in listed)
    assert [exact for _, _, exact in listed] == [True] + [False] * (len(listed) - 1)


def test_where_nothing_fits_the_error_says_what_is_needed_and_what_is_there():
    with pytest.raises(MemoryError, match=r"needs .* GiB on the device.*0\.0 GiB"):
        first_cut(make_vae("odvae-tiny"), True, (1, 3, 9, 256, 256), 1000, 1000)
