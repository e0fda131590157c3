"""Small checkpoints for the tests, in any layout."""

import json
from dataclasses import replace

from safetensors.torch import save_file

import odvae_core as odvae
from odvae_core.families.odvae_config import PRESETS
from tests.golden import read_case


def shrink(preset):
    """The configuration of a preset at width 32 everywhere, with one block a level."""
    config = PRESETS[preset]
    levels = tuple(replace(level, multiplier=1) for level in config.levels)
    return replace(config, levels=levels, width=32, blocks=1)


def build_small(preset="odvae-v1.2"):
    """A small VAE of random weights."""
    return odvae.build(shrink(preset)).requires_grad_(False)


def build_image_vae(**changes):
    """A 2D VAE of random weights at width 32 and 64, with a block a level."""
    levels = zip(PRESETS["sd-vae"].levels, (1, 2, 2, 2), strict=True)
    levels = tuple(replace(level, multiplier=multiplier) for level, multiplier in levels)
    changes = {"width": 32, "blocks": 1, "levels": levels, **changes}
    return odvae.build(replace(PRESETS["sd-vae"], **changes)).requires_grad_(False)


def write_diffusers_folder(vae, folder, **fields):
    """A 2D VAE as diffusers saves it: its config.json, with `fields`, and its weights."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "_class_name": "AutoencoderKL",
        "_diffusers_version": "0.30.0",
        "act_fn": "silu",
        "block_out_channels": list(vae.config.widths),
        "in_channels": 3,
        "latent_channels": vae.config.z_channels,
        "layers_per_block": vae.config.blocks,
        "norm_num_groups": vae.config.norm_groups,
        "out_channels": 3,
        "sample_size": 512,
    }
    (folder / "config.json").write_text(json.dumps(config | fields))
    weights = {key: value.contiguous() for key, value in to_diffusers(vae.state_dict()).items()}
    save_file(weights, folder / "diffusion_pytorch_model.safetensors", {"format": "pt"})
    return folder


def to_diffusers(state_dict, old=False):
    """The LDM names of a 2D VAE in diffusers' spelling; attention weights lose their 1x1."""
    case, _ = read_case("map_ldm_diffusers_2d")
    names = {row[0]: row[2] for row in case["rows"]}
    older = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    renamed = {}
    for key, value in state_dict.items():
        name = names[key]
        if "attentions" in name and value.ndim == 4:
            value = value[:, :, 0, 0]
        for new, before in older.items() if old else ():
            name = name.replace(new, before)
        renamed[name] = value
    return renamed
