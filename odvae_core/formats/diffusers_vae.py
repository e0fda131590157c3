"""The 2D VAE as diffusers' AutoencoderKL stores it: its names and its config.json."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..families.odvae_config import OdvaeConfig

LDM_NAMES = (
    (r"\.down\.(\d+)\.", r".down_blocks.\1."),
    (r"\.mid\.block_1\.", ".mid_block.resnets.0."),
    (r"\.mid\.block_2\.", ".mid_block.resnets.1."),
    (r"\.mid\.attn_1\.", ".mid_block.attentions.0."),
    (r"\.block\.(\d+)\.", r".resnets.\1."),
    (r"\.downsample\.", ".downsamplers.0."),
    (r"\.upsample\.", ".upsamplers.0."),
    (r"\.norm_out\.", ".conv_norm_out."),
    (r"\.nin_shortcut\.", ".conv_shortcut."),
)
ATTENTION_NAMES = (
    (r"\.norm\.", ".group_norm."),
    (r"\.([qkv])\.", r".to_\1."),
    (r"\.proj_out\.", ".to_out.0."),
)
"""The 2D VAE's names in LDM to diffusers'; `up` counts the other way."""


def to_diffusers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The 2D VAE's weights in diffusers' names; attention's 1x1 convolutions become linear maps."""
    levels = len({key.split(".")[2] for key in tensors if key.startswith("decoder.up.")})
    renamed: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        name = re.sub(r"\.up\.(\d+)\.", lambda m: f".up_blocks.{levels - 1 - int(m[1])}.", key)
        for pattern, replacement in LDM_NAMES:
            name = re.sub(pattern, replacement, name)
        if ".attentions." in name:
            tensor = tensor[:, :, 0, 0] if tensor.ndim == 4 else tensor
            for pattern, replacement in ATTENTION_NAMES:
                name = re.sub(pattern, replacement, name)
        renamed[name] = tensor
    return renamed


def diffusers_from_sd(config: OdvaeConfig) -> dict[str, Any]:
    """The config.json of AutoencoderKL. Raises `ValueError` on what that class can't express."""
    if config.attention_resolutions or config.embed_dim != config.z_channels:
        raise ValueError(
            "got a 2D VAE with attention in its levels, or with other channels in its latent than "
            "in its networks, which AutoencoderKL doesn't have"
        )
    levels = len(config.levels)
    return {
        "_class_name": "AutoencoderKL",
        "act_fn": "silu",
        "block_out_channels": list(config.widths),
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": config.z_channels,
        "layers_per_block": config.blocks,
        "norm_num_groups": config.norm_groups,
        "sample_size": 512,
        "scaling_factor": config.latent_scale,
        "shift_factor": config.latent_shift,
        "use_quant_conv": bool(config.quant),
        "use_post_quant_conv": bool(config.quant),
    }
