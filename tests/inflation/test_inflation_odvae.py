"""odvae_core/inflation/: what a video VAE inherits from a 2D VAE, and what it can't."""

import math
from dataclasses import replace

import pytest
import torch

import odvae_core as odvae
from odvae_core.families.odvae_config import PRESETS
from odvae_core.inflation import average_inflate, center_inflate, tail_inflate
from odvae_core.layers.conv import CausalConv3d
from tests.checkpoints import to_diffusers


@pytest.fixture(scope="module")
def parent():
    torch.manual_seed(0)
    return odvae.build(replace(PRESETS["sd-vae"], width=32)).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def picture():
    return torch.rand(1, 3, 1, 32, 24, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_tail_inflation_equals_the_2d_convolution_on_every_frame():
    """OD-VAE, equation 4."""
    kernel, clip = torch.randn(4, 3, 3, 3), torch.randn(1, 3, 5, 8, 8)
    layer = CausalConv3d(3, 4)
    layer.load_state_dict({"conv.weight": tail_inflate(kernel, 3), "conv.bias": torch.zeros(4)})
    per_frame = torch.nn.functional.conv2d(clip[0].transpose(0, 1), kernel, padding=1)
    torch.testing.assert_close(layer(clip)[0].transpose(0, 1), per_frame)


@pytest.mark.parametrize("inflation", [tail_inflate, average_inflate, center_inflate])
def test_an_inflated_kernel_equals_the_2d_one_on_a_still_clip(inflation):
    kernel = torch.randn(4, 3, 3, 3)
    torch.testing.assert_close(inflation(kernel, 3).sum(2), kernel)


@pytest.mark.parametrize("frames", [1, 9])
def test_an_inflated_odvae_stream_is_the_2d_vae_on_an_image_and_on_a_still_clip(
    parent, picture, frames
):
    """OD-VAE, equation 4, for the whole model in both directions."""
    vae = odvae.inflate(parent.state_dict(), "odvae-stream").requires_grad_(False)
    still = picture.expand(-1, -1, frames, -1, -1)
    latent, decoded = parent.encode(picture).mean, parent.decode(parent.encode(picture).mean)
    encoded = vae.encode(still).mean
    torch.testing.assert_close(encoded, latent.expand_as(encoded), rtol=0, atol=2e-5)
    video = vae.decode(encoded)
    torch.testing.assert_close(video, decoded.expand_as(video), rtol=0, atol=5e-5)


def test_the_published_v1_2_architecture_inherits_the_encoder_but_not_the_decoder(parent):
    inflation = odvae.inflate(parent.state_dict(), "odvae-v1.2").inflation
    assert inflation.proof.encode_difference < 1e-4
    assert inflation.proof.decode_difference > 0.1
    assert [sentence for sentence in inflation.differences if "decoder.up.3" in sentence]


@pytest.mark.parametrize("preset", ["odvae-v1.0", "odvae-stream"])
def test_the_proof_is_exact_where_the_wiring_allows(parent, preset):
    inflation = odvae.inflate(parent.state_dict(), preset).inflation
    assert inflation.proof.encode_difference < 1e-4
    assert inflation.proof.decode_difference < 1e-4
    assert inflation.proof.decode_psnr > 80
    assert not inflation.fresh
    assert all("latents are scaled" in sentence for sentence in inflation.differences)


def test_every_weight_is_either_copied_inflated_or_fresh(parent):
    vae = odvae.inflate(parent.state_dict(), "odvae-v1.1")
    parts = (vae.inflation.copied, vae.inflation.inflated, vae.inflation.fresh)
    assert sorted(key for part in parts for key in part) == sorted(vae.state_dict())
    assert {key.split(".")[3] for key in vae.inflation.fresh} == {
        "time_downsample",
        "time_upsample",
    }


def test_random_inflation_inherits_nothing(parent):
    vae = odvae.inflate(parent.state_dict(), "odvae-stream", mode="random")
    assert sorted(vae.inflation.fresh) == sorted(vae.state_dict())
    assert math.isfinite(vae.inflation.proof.decode_psnr)
    assert vae.inflation.proof.decode_psnr < 40


@pytest.mark.parametrize("layout", ["ldm", "diffusers", "older diffusers", "checkpoint"])
def test_a_2d_vae_is_read_in_every_layout(parent, layout):
    weights = parent.state_dict()
    source = {
        "ldm": weights,
        "diffusers": to_diffusers(weights),
        "older diffusers": to_diffusers(weights, old=True),
        "checkpoint": {
            **{f"first_stage_model.{key}": value for key, value in weights.items()},
            "model.diffusion_model.out.0.weight": torch.zeros(3),
        },
    }[layout]
    inherited = odvae.inflate(source, "odvae-stream").state_dict()
    expected = odvae.inflate(weights, "odvae-stream").state_dict()
    assert all(torch.equal(inherited[key], expected[key]) for key in expected)


def test_a_file_is_read_like_its_state_dict(parent, tmp_path):
    path = tmp_path / "sd-vae.safetensors"
    odvae.save(parent, path)
    vae = odvae.inflate(path, "odvae-stream")
    assert vae.inflation.proof.decode_difference < 1e-4


def test_width_and_latent_channels_come_from_the_2d_vae():
    torch.manual_seed(0)
    config = replace(PRESETS["sd-vae"], width=64, blocks=1, z_channels=8, embed_dim=8)
    vae = odvae.inflate(odvae.build(config).state_dict(), "odvae-stream")
    assert (vae.config.width, vae.config.blocks, vae.latent_channels) == (64, 1, 8)


def test_a_vae_without_quant_layers_is_inflated_without_them():
    config = replace(PRESETS["sd-vae"], width=32, blocks=1, quant="", z_channels=16)
    vae = odvae.inflate(odvae.build(config).state_dict(), "odvae-stream")
    assert vae.config.quant == ""
    assert vae.latent_channels == 16
    assert vae.inflation.proof.decode_difference < 1e-4


def test_an_unknown_mode_is_refused_with_the_known_ones(parent):
    with pytest.raises(ValueError, match="got mode 'middle'; the modes are tail, average"):
        odvae.inflate(parent.state_dict(), mode="middle")


def test_what_is_no_2d_vae_is_refused(parent):
    video = odvae.build(replace(PRESETS["odvae-v1.2"], width=32))
    for weights in (video.state_dict(), {"weight": torch.zeros(3)}):
        with pytest.raises(ValueError, match="no 2D Stable Diffusion VAE"):
            odvae.inflate(weights)
    with pytest.raises(ValueError, match="it holds no tensors of a VAE"):
        odvae.inflate({})


def test_another_number_of_levels_is_refused():
    levels = (PRESETS["sd-vae"].levels[0], replace(PRESETS["sd-vae"].levels[3], up="frame"))
    config = replace(PRESETS["sd-vae"], width=32, levels=levels)
    with pytest.raises(ValueError, match="2 levels and the preset 4"):
        odvae.inflate(odvae.build(config).state_dict())


def test_inflated_weights_can_be_trained_and_saved(parent, tmp_path):
    vae = odvae.inflate(parent.state_dict(), "odvae-stream")
    assert all(weight.requires_grad for weight in vae.parameters())
    odvae.save(vae, tmp_path / "inflated.safetensors")
    loaded = odvae.load(tmp_path / "inflated.safetensors")
    assert loaded.config == vae.config
