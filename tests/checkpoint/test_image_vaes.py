"""2D VAEs where they are wanted, in the layouts in which they are published."""

import json
import math

import pytest
import torch
from safetensors.torch import save_file

import odvae_core as odvae
from tests.checkpoints import build_image_vae, to_diffusers, write_diffusers_folder

SDXL, SD3, FLUX, SD = (0.13025, 0.0), (1.5305, 0.0609), (0.3611, 0.1159), (0.18215, 0.0)


@pytest.fixture(scope="module")
def vae():
    torch.manual_seed(0)
    return build_image_vae()


@pytest.fixture(scope="module")
def wide():
    """As of SD3 and Flux: 16 channels, no quant layers."""
    torch.manual_seed(0)
    return build_image_vae(z_channels=16, embed_dim=16, quant="")


def own(vae, owner, *neighbours):
    """A VAE's weights within a diffusion model's."""
    weights = {f"{owner}{key}": value for key, value in vae.state_dict().items()}
    return {**weights, **{key: torch.zeros(2, dtype=torch.int64) for key in neighbours}}


def write_ckpt(content, folder):
    torch.save(content, folder / "model.ckpt")
    return folder / "model.ckpt"


def write_safetensors(weights, folder):
    save_file(weights, folder / "model.safetensors")
    return folder / "model.safetensors"


SD_NAMES = ("model.diffusion_model.out.0.weight", "cond_stage_model.transformer.position_ids")
SDXL_NAMES = ("model.diffusion_model.out.0.weight", "conditioner.embedders.1.model.ln_final.bias")
LAYOUTS = {
    "LDM .ckpt": lambda vae, to: write_ckpt(
        {"state_dict": own(vae, "first_stage_model.", *SD_NAMES), "global_step": 4}, to
    ),
    "bare .ckpt": lambda vae, to: write_ckpt(dict(vae.state_dict()), to),
    "bare half precision": lambda vae, to: write_safetensors(
        {key: value.half() for key, value in vae.state_dict().items()}, to
    ),
    "diffusers names": lambda vae, to: write_safetensors(to_diffusers(vae.state_dict()), to),
    "older diffusers names": lambda vae, to: write_safetensors(
        to_diffusers(vae.state_dict(), old=True), to
    ),
    "diffusers folder": lambda vae, to: write_diffusers_folder(vae, to, scaling_factor=0.18215),
    "diffusers file beside its config.json": lambda vae, to: (
        write_diffusers_folder(vae, to) / "diffusion_pytorch_model.safetensors"
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_published_layout_of_a_2d_vae_is_loaded_where_one_is_wanted(vae, tmp_path, layout):
    path = LAYOUTS[layout](vae, tmp_path)
    loaded = odvae.load(path, images=True)
    assert loaded.config == vae.config
    assert (loaded.temporal_compression, loaded.spatial_compression) == (1, 8)
    tolerance = 1e-2 if "half" in layout else 0.0
    for key, value in loaded.state_dict().items():
        torch.testing.assert_close(value, vae.state_dict()[key], rtol=0, atol=tolerance)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_where_none_is_asked_for_a_2d_vae_is_still_to_be_inflated(vae, tmp_path, layout):
    with pytest.raises(odvae.CheckpointError, match="not a video VAE: inflate it"):
        odvae.load(LAYOUTS[layout](vae, tmp_path))


def test_a_2d_vae_of_16_channels_without_quant_layers_is_loaded(wide, tmp_path):
    write_diffusers_folder(wide, tmp_path, scaling_factor=SD3[0], shift_factor=SD3[1])
    loaded = odvae.load(tmp_path, images=True)
    assert (loaded.latent_channels, loaded.config.quant) == (16, "")
    assert (loaded.latent_scale, loaded.latent_shift) == SD3
    assert loaded.provenance.assumptions == ()


def test_video_vaes_are_loaded_as_ever_where_a_2d_one_may_come():
    assert odvae.load("default", images=True).config == odvae.load("default").config


def test_a_2d_vae_of_other_groups_than_usual_takes_them_from_its_config(tmp_path):
    vae = build_image_vae(norm_groups=8)
    loaded = odvae.load(write_diffusers_folder(vae, tmp_path), images=True)
    assert loaded.config.norm_groups == 8


def test_a_config_of_other_weights_is_refused_in_a_folder_and_passed_over_beside_a_file(
    vae, tmp_path
):
    write_diffusers_folder(vae, tmp_path, latent_channels=16, scaling_factor=9.0)
    with pytest.raises(odvae.CheckpointError, match=r"config\.json is of other weights"):
        odvae.load(tmp_path, images=True)
    file = tmp_path / "diffusion_pytorch_model.safetensors"
    loaded = odvae.load(file, images=True)
    assert loaded.latent_scale == SD[0]
    assert "belongs to other weights" in loaded.provenance.assumptions[1]


def check_scale(path, expected, assumed):
    """A loaded 2D VAE has this scale and shift, and says if they were assumed."""
    vae = odvae.load(path, images=True)
    assert (vae.latent_scale, vae.latent_shift) == expected
    assert (vae.config.latent_scale, vae.config.latent_shift) == expected
    sentences = vae.provenance.assumptions
    assert any("latents are" in sentence for sentence in sentences) is assumed


@pytest.mark.parametrize("told", [True, False])
def test_an_inflated_vae_has_its_parents_scale_and_says_if_it_was_assumed(wide, tmp_path, told):
    write_diffusers_folder(wide, tmp_path, scaling_factor=FLUX[0], shift_factor=FLUX[1])
    if not told:
        (tmp_path / "config.json").unlink()
    vae = odvae.inflate(tmp_path / "diffusion_pytorch_model.safetensors", "odvae-stream")
    assert (vae.latent_scale, vae.latent_shift) == (FLUX if told else SD3)
    differences = vae.inflation.differences
    assert any("as of Stable Diffusion 3" in sentence for sentence in differences) is not told


@pytest.mark.parametrize("scale", [SD, SDXL, SD3, FLUX])
def test_scale_and_shift_come_from_the_config_json(vae, tmp_path, scale):
    write_diffusers_folder(vae, tmp_path, scaling_factor=scale[0], shift_factor=scale[1])
    check_scale(tmp_path, scale, assumed=False)


@pytest.mark.parametrize(
    ("owner", "neighbours", "scale"),
    [
        ("first_stage_model.", SD_NAMES, SD),
        ("first_stage_model.", SDXL_NAMES, SDXL),
        ("first_stage_model.", ["model.diffusion_model.joint_blocks.0.x"], SD3),
        ("vae.", ["model.diffusion_model.double_blocks.0.img_attn.x"], FLUX),
    ],
)
def test_scale_and_shift_come_from_the_model_around_the_vae(
    vae, tmp_path, owner, neighbours, scale
):
    check_scale(write_safetensors(own(vae, owner, *neighbours), tmp_path), scale, assumed=False)


@pytest.mark.parametrize(("name", "scale"), [("vae", SD), ("wide", SD3)])
def test_what_the_weights_alone_can_not_tell_is_assumed_and_said(request, tmp_path, name, scale):
    path = write_safetensors(dict(request.getfixturevalue(name).state_dict()), tmp_path)
    check_scale(path, scale, assumed=True)


def test_a_file_of_our_own_tells_its_scale(tmp_path):
    vae = build_image_vae(latent_scale=0.5, latent_shift=0.25)
    odvae.save(vae, tmp_path / "vae.safetensors")
    check_scale(tmp_path / "vae.safetensors", (0.5, 0.25), assumed=False)


def test_fresh_weights_keep_the_scale_of_the_preset(vae, tmp_path):
    write_diffusers_folder(vae, tmp_path, scaling_factor=SDXL[0])
    assert odvae.inflate(tmp_path, "odvae-stream", mode="random").latent_scale == SD[0]


@pytest.mark.parametrize("scale", [0, -1, True, "wide", [1], 10**400, math.nan, math.inf])
def test_a_scale_that_no_latents_have_is_refused(vae, tmp_path, scale):
    write_diffusers_folder(vae, tmp_path, scaling_factor=scale)
    assert json.dumps(scale) in (tmp_path / "config.json").read_text()
    for read in (odvae.inflate, lambda path: odvae.load(path, images=True)):
        with pytest.raises(odvae.CheckpointError, match=r"scaling_factor = |is not a JSON number"):
            read(tmp_path)


def test_a_vae_with_a_codebook_or_with_an_asymmetric_decoder_is_refused_in_words(vae, tmp_path):
    weights = to_diffusers(vae.state_dict())
    extras = {
        "VQGAN (VQModel)": "quantize.embedding.weight",
        "asymmetric 2D (AsymmetricAutoencoderKL)": "decoder.condition_encoder.layers.0.weight",
    }
    for name, key in extras.items():
        path = write_safetensors({**weights, key: torch.zeros(4, 4)}, tmp_path)
        with pytest.raises(odvae.CheckpointError) as raised:
            odvae.inflate(path)
        assert f"it is the {name} VAE, which this package doesn't support" in str(raised.value)


def test_an_asymmetric_decoder_without_its_mark_is_refused_by_its_shapes(vae, tmp_path):
    weights = dict(vae.state_dict())
    weights["decoder.conv_out.weight"] = torch.zeros(3, 64, 3, 3)
    with pytest.raises(odvae.CheckpointError, match=r"1 shapes differ: decoder\.conv_out\.weight"):
        odvae.inflate(write_safetensors(weights, tmp_path))
