"""odvae_core/planning/plan.py: the best plan that fits."""

from dataclasses import replace

import pytest

import odvae_core as odvae
from odvae_core.planning import FreeMemory, Request, count_need, find_plans
from odvae_core.planning.available import PARKED_SHARE
from odvae_core.planning.candidates import BAND_ROWS
from tests.planning.networks import (
    CPU,
    GIB,
    GPU,
    PLENTY,
    list_plans,
    make_clip,
    make_vae,
    plan_best,
)


def test_on_a_gpu_a_clip_that_fits_is_run_whole():
    vae = make_vae("odvae-v1.2")
    plan = plan_best(vae, "encode", make_clip(vae, "encode", 9, 64))
    assert (plan.schedule, plan.tiles, plan.exact) == (odvae.Whole(), None, True)


@pytest.mark.parametrize("preset", ["odvae-stream", "ivvae-z4", "odvae-tiny"])
@pytest.mark.parametrize("coding", ["encode", "decode"])
def test_on_a_cpu_a_network_that_streams_exactly_is_streamed(preset, coding):
    vae = odvae.build(preset) if preset == "odvae-tiny" else make_vae(preset)
    plan = plan_best(vae, coding, make_clip(vae, coding, 65, 64, CPU))
    assert isinstance(plan.schedule, odvae.Stream)
    assert plan.exact


def test_with_less_memory_the_pieces_get_smaller_and_stay_exact_as_long_as_they_can():
    vae = make_vae("odvae-v1.2")
    clip = make_clip(vae, "decode", 33, 256)
    whole = count_need(vae, vae.decoder_pass(), clip, odvae.Whole(), None).device
    plans = [
        plan_best(vae, "decode", clip, free=FreeMemory(int(whole * share), GIB, shared=False))
        for share in (1, 0.7, 0.07)
    ]
    for plan, share in zip(plans, (1, 0.7, 0.07), strict=True):
        assert plan.need.device <= whole * share
    assert plans[0].schedule == odvae.Whole()
    assert isinstance(plans[1].schedule, odvae.Sweep)
    assert plans[1].tiles is None
    assert plans[2].tiles is not None


@pytest.mark.parametrize(("preset", "kind"), [("odvae-v1.2", "Sweep"), ("ivvae-z4", "Stream")])
def test_bands_of_rows_are_tried_before_tiles_and_are_exact(preset, kind):
    vae = make_vae(preset)
    clip = make_clip(vae, "decode", 9, 256)
    cut = getattr(odvae, kind)(5, rows=BAND_ROWS, park=True)
    need = count_need(vae, vae.decoder_pass(), clip, cut, None)
    free = FreeMemory(need.device, GIB, shared=False)
    plan = plan_best(vae, "decode", clip, free=free)
    assert (plan.schedule, plan.tiles, plan.exact) == (cut, None, True)
    assert "bands of 64 rows" in plan.describe()


def test_tiles_that_are_asked_for_are_not_replaced_by_bands():
    vae = make_vae("odvae-v1.2")
    clip = make_clip(vae, "decode", 9, 256)
    plans = list_plans(vae, "decode", clip, Request("auto", tile=128))
    assert not any(plan.schedule.rows for plan in plans)


def test_parking_never_takes_more_than_its_share_of_the_host():
    vae = make_vae("odvae-v1.2")
    clip = make_clip(vae, "decode", 129, 256)
    request = Request("exact", 5)
    parked = count_need(vae, vae.decoder_pass(), clip, odvae.Sweep(5, park=True), None)
    needed = int((parked.host - parked.given) / PARKED_SHARE) + 1
    for host, parks in ((needed, True), (needed - 2, False)):
        free = FreeMemory(parked.device, host, shared=False)
        fitting = [found.schedule.park for found in list_plans_or_none(vae, clip, request, free)]
        assert fitting == ([True] if parks else [])


def list_plans_or_none(vae, clip, request, free):
    try:
        return list(list_plans(vae, "decode", clip, request, free))
    except MemoryError:
        return []


def test_what_is_free_is_asked_once_and_told_what_the_best_plan_needs():
    vae = make_vae("odvae-v1.2")
    clip, asked = make_clip(vae, "decode", 33, 64), []

    def find_free(need):
        asked.append(need)
        return PLENTY

    plans = list(find_plans(vae, vae.decoder_pass(), clip, Request(), find_free))
    assert asked == [plans[0].need]
    assert len(plans) > 3


@pytest.mark.parametrize("strategy", ["auto", "whole", "exact", "stream", "paper"])
def test_on_the_cpu_what_does_not_fit_is_refused_whatever_was_asked_for(strategy):
    vae = odvae.build("odvae-tiny")
    clip = make_clip(vae, "decode", 33, 256, CPU)
    with pytest.raises(
        MemoryError, match=r"needs at least \d\.\d GiB.*0\.0 GiB.*from file to file"
    ):
        plan_best(vae, "decode", clip, Request(strategy), FreeMemory(1000, 1000, shared=True))


def test_the_result_counts_a_long_clip_is_refused_before_it_ends_the_process():
    """197 frames of 1080p: 4.9 GB of video that the host must hold beside the work."""
    vae = odvae.build("odvae-tiny")
    clip = make_clip(vae, "decode", 197, 1088, CPU)
    result = 197 * 1088 * 1088 * 3 * 4
    plan = plan_best(vae, "decode", clip)
    assert plan.need.host + plan.need.device > result
    tight = FreeMemory(result, result, shared=True)
    with pytest.raises(MemoryError):
        plan_best(vae, "decode", clip, free=tight)
    piecewise = plan_best(vae, "decode", replace(clip, held=False), free=tight)
    assert piecewise.schedule.bounded
    assert piecewise.need.host + piecewise.need.device < result


def test_a_strategy_that_may_not_fit_on_a_gpu_is_tried_with_the_least_need():
    vae = make_vae("odvae-v1.2")
    clip = make_clip(vae, "decode", 65, 128)
    small = FreeMemory(1000, 64 * GIB, shared=False)
    (only,) = list_plans(vae, "decode", clip, Request("exact"), small)
    assert isinstance(only.schedule, odvae.Sweep)
    assert only.schedule.park
    with pytest.raises(MemoryError):
        plan_best(vae, "decode", clip, Request("auto"), small)


def test_a_clip_that_goes_by_in_pieces_is_streamed_where_that_is_exact_and_held_where_it_must_be():
    streams, sweeps = make_vae("odvae-stream"), make_vae("odvae-v1.2")
    for vae, kind in ((streams, odvae.Stream), (sweeps, (odvae.Whole, odvae.Sweep))):
        clip = make_clip(vae, "decode", 65, 64, GPU, held=False)
        assert isinstance(plan_best(vae, "decode", clip).schedule, kind)


@pytest.mark.parametrize("strategy", ["auto", "exact", "stream"])
def test_a_short_clip_equals_the_whole_one_whatever_the_pieces(strategy):
    vae = make_vae("odvae-v1.2")
    request = Request(strategy, 17)
    assert plan_best(vae, "decode", make_clip(vae, "decode", 17, 64), request).exact


def test_tiles_are_left_out_where_the_picture_is_no_larger_than_one():
    vae = make_vae("odvae-v1.2")
    for side, tiles in ((128, None), (136, odvae.Tiles(128, 16))):
        clip = make_clip(vae, "decode", 9, side)
        assert plan_best(vae, "decode", clip, Request("whole", tile=128)).tiles == tiles


def test_a_plan_is_told_in_the_words_of_nodes_and_commands():
    vae = make_vae("odvae-v1.2")
    clip = make_clip(vae, "decode", 65, 128)
    told = {
        request: plan_best(vae, "decode", clip, request).describe()
        for request in (Request("whole"), Request("paper", 17), Request("exact", 9, 64))
    }
    assert list(told.values()) == [
        "whole, exact",
        "paper, 17 frames at a time, approximate in time",
        "exact, 9 frames at a time, tiles of 64 that overlap by 8, exact in time within a tile",
    ]


def test_a_containers_limit_decides_what_fits(monkeypatch):
    """The host reports the machine's memory; a container may take less."""
    from odvae_core.planning import available, available_memory

    vae = odvae.build("odvae-tiny")
    clip = make_clip(vae, "decode", 33, 256, CPU)
    monkeypatch.setattr(available, "container_limit", lambda: 10**6)
    with pytest.raises(MemoryError):
        plan_best(vae, "decode", clip, free=available_memory(CPU))


def test_a_cut_whose_tensors_would_exceed_32_bit_indices_is_no_plan(monkeypatch):
    vae = make_vae("odvae-v1.2")
    clip = make_clip(vae, "decode", 9, 64)
    whole = count_need(vae, vae.decoder_pass(), clip, odvae.Whole(), None)
    assert whole.largest > 33 * 64 * 64 * 8
    assert plan_best(vae, "decode", clip).schedule == odvae.Whole()
    monkeypatch.setattr("odvae_core.planning.plan.INDEX_LIMIT", whole.largest)
    assert plan_best(vae, "decode", clip).schedule == odvae.Sweep(33)
