"""odvae_core/checkpoint/metadata.py: the configuration as a tensor among the weights.

The files here are laid out as ComfyUI's Save VAE and Save Checkpoint write them: the state dict,
contiguous, under no prefix or the diffusion model's, with the workflow in the metadata.
"""

import json

import pytest
import torch
from safetensors.torch import save_file

import odvae_core as odvae
from odvae_core.checkpoint.metadata import describe_vae, pack_metadata
from odvae_core.families.ivvae_config import IvvaeConfig
from odvae_core.formats import CONFIG_KEY
from odvae_core.registry import read_config
from tests.checkpoints import build_small

PREFIXES = ("", "vae.", "first_stage_model.", "conditioner.embedders.1.encoder.")
"""Of Save VAE, and of Save Checkpoint for models of various kinds."""


def write_as_comfyui(vae, path, prefix="", carried=None):
    """A VAE as ComfyUI saves it, in half precision; `carried` replaces what our VAE gives."""
    weights = {key: value.half().contiguous() for key, value in vae.state_dict().items()}
    weights[CONFIG_KEY] = pack_metadata(vae) if carried is None else carried
    whole = {f"{prefix}{key}": value for key, value in weights.items()}
    if prefix:
        whole["model.diffusion_model.out.2.weight"] = torch.zeros(4, 4).to(torch.float8_e4m3fn)
        whole["cond_stage_model.position_ids"] = torch.zeros(1, 77, dtype=torch.int64)
    save_file(whole, path, {"prompt": json.dumps({"1": {"class_type": "VAESave"}})})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ComfyUI_vae_00001_.safetensors"


def build(name):
    torch.manual_seed(0)
    if name == "default":
        return odvae.load("default")
    if name == "ivvae":
        return odvae.build(IvvaeConfig(4, 8, 1.3196, 0.1250, blocks=1)).requires_grad_(False)
    return build_small(name)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("name", ["default", "odvae-stream", "ivvae"])
def test_what_comfyui_saved_is_loaded_as_what_it_was(path, name, prefix):
    vae = build(name)
    write_as_comfyui(vae, path, prefix)
    loaded = odvae.load(path)
    assert loaded.config == vae.config
    assert (loaded.latent_scale, loaded.latent_shift) == (vae.latent_scale, vae.latent_shift)
    assert loaded.provenance.assumptions == ()
    assert loaded.state_dict().keys() == vae.state_dict().keys()


def test_the_bytes_are_the_metadata_that_save_writes():
    vae = build_small()
    assert json.loads(bytes(pack_metadata(vae).tolist())) == describe_vae(vae)


def test_a_2d_vae_that_comfyui_saved_keeps_its_scale_when_it_is_inflated(path):
    vae = odvae.build(read_config({**describe_small(), "latent_scale": 0.25}))
    write_as_comfyui(vae.requires_grad_(False), path)
    assert odvae.inflate(path, "odvae-stream").latent_scale == 0.25


def describe_small():
    """The fields of a small 2D VAE's configuration."""
    return json.loads(describe_vae(build_small("sd-vae"))["config"])


def pack(text):
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)


@pytest.mark.parametrize(
    ("carried", "message"),
    [
        (torch.zeros(9), "odvae_config is torch.float32 of shape"),
        (torch.zeros(3, 3, dtype=torch.uint8), r"of shape \[3, 3\]: it is bytes"),
        (pack("x" * 2**19), "524,288 bytes in odvae_config; at most 262,144"),
        (pack("{broken"), "it is no JSON"),
        (pack("[" * 1000), "more than 32 nested lists and objects"),
        (pack('{"format": "1", "format": "1"}'), "the name 'format' comes twice"),
        (pack('{"format": 1}'), "holds no metadata of odvae"),
        (pack('{"family": "odvae"}'), "holds no metadata of odvae"),
        (pack('{"format": "2"}'), "it has format 2, written by odvae"),
    ],
)
def test_bytes_that_hold_something_else_are_refused(path, carried, message):
    write_as_comfyui(build_small(), path, "vae.", carried)
    with pytest.raises(odvae.CheckpointError, match=message):
        odvae.load(path)


def test_two_configurations_in_one_file_are_refused(path):
    vae = build_small()
    weights = {f"vae.{key}": value for key, value in vae.state_dict().items()}
    copies = {f"{prefix}{CONFIG_KEY}": pack_metadata(vae) for prefix in ("vae.", "other.")}
    save_file({**weights, **copies}, path)
    with pytest.raises(odvae.CheckpointError, match="2 configurations"):
        odvae.load(path)
