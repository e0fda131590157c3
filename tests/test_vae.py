"""odvae_core/vae.py: what encode and decode refuse, and what they follow."""

from dataclasses import replace

import pytest
import torch

import odvae_core as odvae
from odvae_core.families.odvae_config import PRESETS


@pytest.fixture(scope="module")
def vae():
    torch.manual_seed(0)
    return odvae.build("odvae-tiny").eval().requires_grad_(False)


def test_a_clip_of_1_plus_4k_frames_has_1_plus_k_latents(vae):
    latent = vae.encode(torch.zeros(1, 3, 9, 16, 24)).mode()
    assert latent.shape == (1, 4, 3, 2, 3)
    assert vae.decode(latent).shape == (1, 3, 9, 16, 24)


@pytest.mark.parametrize(("frames", "shorter", "longer"), [(2, 1, 5), (4, 1, 5), (16, 13, 17)])
def test_another_number_of_frames_is_refused_with_the_nearest_legal_ones(
    vae, frames, shorter, longer
):
    message = (
        rf"got {frames} frames; .* 1 \+ 4k: cut the clip to {shorter} or extend it to {longer}"
    )
    with pytest.raises(ValueError, match=message):
        vae.encode(torch.zeros(1, 3, frames, 16, 16))


def test_sides_off_the_grid_are_refused_with_the_nearest_legal_ones(vae):
    with pytest.raises(ValueError, match=r"a width of 20 pixels.*crop it to 16 or pad it to 24"):
        vae.encode(torch.zeros(1, 3, 1, 16, 20))


@pytest.mark.parametrize(
    "video",
    [
        torch.zeros(3, 5, 16, 16),
        torch.zeros(1, 4, 5, 16, 16),
        torch.zeros(1, 3, 5, 16, 16, dtype=torch.uint8),
        torch.zeros(1, 3, 0, 16, 16),
        torch.zeros(0, 3, 5, 16, 16),
    ],
    ids=["no batch", "four channels", "bytes", "no frames", "no clips"],
)
def test_what_is_no_video_is_refused(vae, video):
    with pytest.raises(ValueError, match=r"got a"):
        vae.encode(video)


@pytest.mark.parametrize("shape", [(1, 16, 2, 2, 2), (4, 2, 2, 2), (1, 4, 0, 2, 2)])
def test_what_is_no_latent_of_this_vae_is_refused(vae, shape):
    with pytest.raises(ValueError, match=r"got a"):
        vae.decode(torch.zeros(shape))


def test_latents_can_train_a_model_and_the_decoder_can_be_tuned():
    vae = odvae.build("odvae-tiny")
    video = torch.rand(1, 3, 5, 16, 16, requires_grad=True)
    latent = vae.encode(video).sample()
    latent.retain_grad()
    vae.decode(latent).mean().backward()
    assert latent.grad is not None
    assert video.grad is not None


def test_no_gradient_is_recorded_where_the_caller_wants_none():
    vae = odvae.build("odvae-tiny")
    with torch.no_grad():
        assert not vae.decode(vae.encode(torch.zeros(1, 3, 1, 8, 8)).mode()).requires_grad


@pytest.mark.parametrize("preset", [name for name in PRESETS if name != "sd-vae"])
def test_every_video_preset_compresses_4_by_8_by_8(preset):
    with torch.device("meta"):
        vae = odvae.build(replace(PRESETS[preset], width=32))
    assert (vae.temporal_compression, vae.spatial_compression) == (4, 8)
    channels = 16 if preset == "odvae-small" else 4
    scale = 1.0 if preset in ("odvae-tiny", "odvae-small") else 0.18215
    assert (vae.latent_channels, vae.latent_scale, vae.latent_shift) == (channels, scale, 0)


def test_the_2d_vae_takes_any_number_of_frames_one_by_one():
    torch.manual_seed(0)
    vae = odvae.build(replace(PRESETS["sd-vae"], width=32)).eval()
    video = torch.rand(1, 3, 3, 16, 16)
    with torch.no_grad():
        alone = vae.encode(video[:, :, 1:2]).mean
        torch.testing.assert_close(vae.encode(video).mean[:, :, 1:2], alone)


def test_the_parameter_counts_are_the_papers():
    """Variant 4 has 239.19 M parameters (table 1)."""
    with torch.device("meta"):
        vae = odvae.build("odvae-v1.2")
    assert sum(weight.numel() for weight in vae.parameters()) == 239_189_991


def test_fewer_3d_convolutions_are_fewer_parameters():
    with torch.device("meta"):
        counts = {
            name: sum(weight.numel() for weight in odvae.build(name).parameters())
            for name in ("odvae-variant-1", "odvae-variant-2", "odvae-variant-3", "odvae-v1.2")
        }
    assert counts["odvae-variant-1"] > counts["odvae-v1.2"] > counts["odvae-variant-3"]
    assert counts["odvae-variant-2"] < counts["odvae-variant-1"]


def test_forward_reconstructs_from_the_mode(vae):
    video = torch.rand(1, 3, 5, 16, 16)
    assert torch.equal(vae(video), vae.decode(vae.encode(video).mode()))


@pytest.mark.parametrize(
    ("preset", "kind"),
    [("odvae-tiny", odvae.Stream), ("ivvae-z4", odvae.Stream), ("odvae-v1.2", odvae.Whole)],
)
def test_a_network_that_streams_exactly_does_so_by_default(preset, kind):
    with torch.device("meta"):
        vae = odvae.build(preset).requires_grad_(False)
    for coder, frames in ((vae.encoder_pass(), 33), (vae.decoder_pass(), 9)):
        schedule = vae.default_schedule(coder, torch.empty(1, 4, frames, 8, 8))
        assert isinstance(schedule, kind)
        assert schedule.frames in (None, 17)


def test_the_default_is_the_whole_clip_where_it_is_short_or_a_gradient_is_recorded():
    vae = odvae.build("odvae-tiny")
    clip, short = (torch.empty(1, 3, frames, 8, 8) for frames in (9, 5))
    assert vae.default_schedule(vae.encoder_pass(), clip) == odvae.Whole()
    vae.requires_grad_(False)
    assert vae.default_schedule(vae.encoder_pass(), clip) == odvae.Stream(5)
    assert vae.default_schedule(vae.encoder_pass(), short) == odvae.Whole()
    assert vae.default_schedule(vae.encoder_pass(), clip.requires_grad_()) == odvae.Whole()
