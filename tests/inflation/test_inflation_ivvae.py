"""odvae_core/inflation/ivvae.py: an IV-VAE starts as its 2D parent, in both branches."""

from dataclasses import replace

import pytest
import torch

import odvae_core as odvae
from odvae_core.families.ivvae_config import IvvaeConfig
from odvae_core.families.odvae_config import PRESETS

CONFIG = IvvaeConfig(4, 4, 1.3196, 0.1250, multipliers=(1, 2, 2, 2), blocks=1)


def make_parent(**changes):
    torch.manual_seed(0)
    half = replace(CONFIG, z_channels=2, branches=1, **changes)
    return odvae.build(half).double().eval().requires_grad_(False)


@pytest.fixture(scope="module")
def parent():
    return make_parent()


@pytest.fixture(scope="module")
def vae(parent):
    return (
        odvae.inflate(parent.state_dict(), CONFIG, mode="branches").double().requires_grad_(False)
    )


def make_clip(frames):
    generator = torch.Generator().manual_seed(frames)
    return torch.rand(1, 3, frames, 16, 24, generator=generator, dtype=torch.float64) * 2 - 1


def test_an_image_is_encoded_and_decoded_as_the_2d_vae_does_it(vae, parent):
    picture = make_clip(1)
    latent, posterior = parent.encode(picture), vae.encode(picture)
    for half in posterior.mean.chunk(2, dim=1):
        torch.testing.assert_close(half, latent.mean, rtol=0, atol=1e-6)
    for half in posterior.logvar.chunk(2, dim=1):
        torch.testing.assert_close(half, latent.logvar, rtol=0, atol=1e-6)
    decoded = vae.decode(posterior.mean)
    torch.testing.assert_close(decoded, parent.decode(latent.mean), rtol=0, atol=1e-6)


def test_the_keyframe_path_of_a_clip_is_the_2d_vae_of_its_keyframes(vae, parent):
    clip, keyframes = make_clip(9), [0, 1, 5]
    latent = vae.encode(clip).mean
    image_latent = parent.encode(clip[:, :, keyframes]).mean
    torch.testing.assert_close(latent[:, :2], image_latent, rtol=0, atol=1e-6)
    decoded = vae.decode(latent)[:, :, keyframes]
    torch.testing.assert_close(decoded, parent.decode(image_latent), rtol=0, atol=1e-6)


def test_a_still_clip_is_the_2d_vaes_picture_in_every_frame(vae, parent):
    """The motion's kernels start in the middle, so a frame sees itself alone."""
    still = make_clip(1).expand(-1, -1, 9, -1, -1)
    decoded = vae.decode(vae.encode(still).mean)
    torch.testing.assert_close(decoded, parent(still), rtol=0, atol=1e-6)


def test_the_report_proves_it_and_names_what_is_new(vae):
    report = vae.inflation
    assert report.mode == "branches"
    assert report.proof.encode_difference < 1e-5
    assert report.proof.decode_difference < 1e-5
    assert report.fresh
    assert all("time_conv" in key for key in report.fresh)
    assert {*report.copied, *report.inflated, *report.fresh} == set(vae.state_dict())
    assert "time_conv" in report.differences[0]


def test_a_plain_2d_vae_is_refused_with_the_reason():
    plain = odvae.build(replace(PRESETS["sd-vae"], width=32)).state_dict()
    with pytest.raises(ValueError, match=r"plain 2D Stable Diffusion VAE; .* both halves"):
        odvae.inflate(plain, CONFIG, mode="branches")


@pytest.mark.parametrize("changes", [{"width": 8}, {"z_channels": 4}, {"blocks": 2}])
def test_a_2d_vae_of_other_than_half_the_sizes_is_refused(changes):
    half = replace(CONFIG, z_channels=2, branches=1)
    weights = odvae.build(replace(half, **changes)).state_dict()
    with pytest.raises(ValueError, match=r"it takes a 2D VAE .* 4 channels wide and with 2 latent"):
        odvae.inflate(weights, CONFIG, mode="branches")


def test_a_video_vae_is_no_2d_parent(vae):
    with pytest.raises(ValueError, match=r"got a VAE of 2 branch"):
        odvae.inflate(vae.state_dict(), CONFIG, mode="branches")
    with pytest.raises(ValueError, match="and no 2D Stable Diffusion VAE"):
        odvae.inflate({"weight": torch.zeros(1)}, CONFIG, mode="branches")


@pytest.mark.parametrize(
    ("preset", "mode", "message"),
    [
        ("ivvae-z4", "tail", "of the family ivvae, which takes branches"),
        ("odvae-v1.2", "branches", "of the family odvae, which takes tail, average"),
        ("cvvae", "tail", "of the family cvvae, which can't be inflated"),
        ("odvae-v1.2", "head", "the modes are tail"),
    ],
)
def test_a_mode_that_can_not_make_the_preset_is_refused(parent, preset, mode, message):
    with pytest.raises(ValueError, match=message):
        odvae.inflate(parent.state_dict(), preset, mode)
