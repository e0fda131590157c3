"""odvae_core/memory.py: what a cut needs, and what there is."""

from dataclasses import replace

import pytest
import torch

import odvae_core as odvae
from odvae_core import memory
from odvae_core.families.odvae_config import PRESETS


def make_vae(preset):
    with torch.device("meta"):
        return odvae.build(replace(PRESETS[preset], width=32, blocks=1))


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
