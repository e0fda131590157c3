"""odvae_core/planning/need.py: what a pass needs."""

import pytest
import torch

import odvae_core as odvae
from odvae_core.layers.coder_pass import Coding
from odvae_core.planning import count_need
from odvae_core.planning import need as needs
from odvae_core.registry import read_config
from tests.planning.networks import CPU, make_clip, make_vae


def count(vae, coding, frames, side, schedule, tiles=None, **more):
    coder = vae.encoder_pass() if coding == "encode" else vae.decoder_pass()
    return count_need(vae, coder, make_clip(vae, coding, frames, side, **more), schedule, tiles)


@pytest.mark.parametrize("coding", ["encode", "decode"])
def test_need_grows_with_the_pictures_area(coding):
    vae = make_vae("odvae-v1.2")
    small, large = (count(vae, coding, 9, side, odvae.Whole()) for side in (64, 128))
    assert 3.9 < large.device / small.device < 4.1


@pytest.mark.parametrize("schedule", [odvae.Windows(5), odvae.Stream(5)])
def test_what_windows_and_streams_need_does_not_grow_with_the_clips_length(schedule):
    vae = make_vae("odvae-stream")
    short, long = (
        count(vae, "encode", frames, 64, schedule, held=False).device for frames in (65, 1001)
    )
    assert long == pytest.approx(short, rel=0.01)


def test_what_a_sweep_keeps_grows_with_the_clips_length_much_less_than_the_whole_clip():
    vae = make_vae("odvae-v1.2")

    def growth(schedule):
        short, long = (count(vae, "decode", n, 64, schedule).device for n in (65, 1001))
        return long - short

    assert 0 < growth(odvae.Sweep(5)) < growth(odvae.Whole()) / 3


def test_bands_need_less_of_the_device_and_parking_them_less_still():
    vae = make_vae("odvae-v1.2")
    pictures, bands, parked = (
        count(vae, "decode", 9, 192, schedule).device
        for schedule in (
            odvae.Sweep(5),
            odvae.Sweep(5, rows=64),
            odvae.Sweep(5, rows=64, park=True),
        )
    )
    assert parked < 0.7 * bands
    assert bands < pictures


def test_the_count_of_a_long_clip_continues_that_of_short_ones():
    config, schedule = read_config("odvae-tiny"), odvae.Sweep(5)
    same = (config, torch.float32, Coding.ENCODE, 41, schedule, 1)
    assert needs.count_frames(*same)["meta"] == pytest.approx(
        needs.count_probe(*same)["meta"], rel=0.05
    )


def test_inference_mode_changes_no_count():
    same = (read_config("odvae-tiny"), torch.float32, Coding.ENCODE, 5, odvae.Whole(), 1)
    expected = needs.count_probe.__wrapped__(*same)
    with torch.inference_mode():
        assert needs.count_probe.__wrapped__(*same) == expected


def test_half_the_precision_needs_about_half_the_memory():
    vae = make_vae("odvae-stream")
    single = count(vae, "encode", 9, 64, odvae.Whole()).device
    half = count(vae.to(torch.bfloat16), "encode", 9, 64, odvae.Whole()).device
    assert 0.45 < half / single < 0.6


def test_parked_features_count_as_the_hosts():
    vae = make_vae("odvae-v1.2")
    kept = count(vae, "decode", 257, 128, odvae.Sweep(5))
    parked = count(vae, "decode", 257, 128, odvae.Sweep(5, park=True))
    assert parked.device < kept.device / 3
    assert parked.host - kept.host > kept.device / 2


@pytest.mark.parametrize("coding", ["encode", "decode"])
def test_clip_and_result_count_where_they_are(coding):
    vae = make_vae("odvae-v1.2")
    video, moments = 9 * 64 * 64 * 3 * 4, 3 * 8 * 8 * 8 * 4
    clips = video + (moments if coding == "encode" else moments // 2)
    host, card = (
        count(vae, coding, 9, 64, odvae.Whole(), on_network_device=there) for there in (False, True)
    )
    assert host.host - card.host == clips
    assert card.device - host.device == clips
    assert host.given + (moments if coding == "encode" else video) == clips


def test_every_tile_of_a_stream_counts_with_what_it_keeps():
    """What a tile remembers lies in host memory between its turns, whatever the device."""
    vae = make_vae("odvae-stream")
    tiles = odvae.Tiles(64, 8, stop_at_border=True)
    hosts = [
        count(vae, "decode", 65, side, odvae.Stream(5), tiles, held=False).host
        for side in (64, 120, 232)  # 1, 4 and 16 tiles
    ]
    kept = (hosts[2] - hosts[1]) / 12
    assert kept > 200_000
    assert hosts[1] - hosts[0] == pytest.approx(3 * kept, rel=0.5)


def test_several_results_count_each():
    vae = make_vae("odvae-v1.2")
    one, three = (count(vae, "decode", 9, 64, odvae.Whole(), results=n).host for n in (1, 3))
    assert three - one == 2 * 9 * 64 * 64 * 3 * 4


def test_a_vae_that_knows_its_need_is_asked():
    vae = odvae.build("odvae-tiny")
    asked = []
    vae.estimate_bytes = lambda coder, shape: asked.append(shape) or 12345
    need = count(vae, "encode", 65, 128, odvae.Windows(9), odvae.Tiles(64, 8), device=CPU)
    assert need.device == 12345
    assert asked == [(1, 3, 17, 64, 64)]
