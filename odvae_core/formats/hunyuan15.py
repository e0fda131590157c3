"""HunyuanVideo 1.5's keys, in its authors' and in diffusers' spelling, and its configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..families.hunyuan15_config import Hunyuan15Config
from .hunyuan import NAMES
from .sections import read_size

UNUSED = ".temb_proj."
"""Of the blocks of ComfyUI's middle."""

UP = (r"\.up_blocks\.", ".up.")
"""Levels of the decoder are numbered alike in both spellings."""


def is_hunyuan15_config(fields: Mapping[str, Any]) -> bool:
    """Whether a dict is the config.json of diffusers' `AutoencoderKLHunyuanVideo15`."""
    return {"downsample_match_channel", "upsample_match_channel", "latent_channels"} <= set(fields)


def hunyuan15_from_published(fields: Mapping[str, Any]) -> Hunyuan15Config:
    """The configuration that a config.json describes. Raises `ValueError` on other networks."""
    widths = tuple(fields["block_out_channels"])
    expected = {
        "in_channels": 3,
        "out_channels": 3,
        "downsample_match_channel": True,
        "upsample_match_channel": True,
        "spatial_compression_ratio": 2 ** (len(widths) - 1),
        "temporal_compression_ratio": 4,
    }
    for name, value in expected.items():
        if fields.get(name, value) != value:
            raise ValueError(f"got {name} = {fields[name]}; a HunyuanVideo 1.5 VAE has {value}")
    return Hunyuan15Config(
        fields["latent_channels"],
        widths[0],
        tuple(width // widths[0] for width in widths),
        fields.get("layers_per_block", Hunyuan15Config.blocks),
        latent_scale=fields.get("scaling_factor", Hunyuan15Config.latent_scale),
    )


def is_hunyuan15(tensors: Mapping[str, Tensor]) -> bool:
    """Tell whether these are a HunyuanVideo 1.5 VAE's, or HunyuanImage's refiner's."""
    return "decoder.conv_in.conv.weight" in tensors and "decoder.mid.attn_1.norm.gamma" in tensors


def infer_hunyuan15(tensors: Mapping[str, Tensor]) -> tuple[Hunyuan15Config, tuple[str, ...]]:
    """The configuration of a HunyuanVideo 1.5 VAE's weights, and what had to be assumed.

    Raises `ValueError` where too little is there.
    """
    pattern = re.compile(r"encoder\.down\.\d+\.block\.0\.norm2\.gamma")
    levels = sorted(filter(pattern.fullmatch, tensors))
    width = read_size(tensors, "encoder.conv_in.conv.weight", 0)
    config = Hunyuan15Config(
        read_size(tensors, "decoder.conv_in.conv.weight", 1),
        width,
        tuple(read_size(tensors, key, 0) // width for key in levels),
        sum(f"encoder.down.0.block.{i}.norm2.gamma" in tensors for i in range(len(tensors))),
    )
    return config, (f"latents are scaled by {config.latent_scale}, as published",)


def has_unused(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are ComfyUI's, whose network has layers that nothing runs."""
    return is_hunyuan15(tensors) and any(UNUSED in key for key in tensors)


def drop_unused(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same without these layers."""
    return {key: tensor for key, tensor in tensors.items() if UNUSED not in key}


def is_diffusers_hunyuan15(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are such a VAE's in diffusers' spelling."""
    conv_in = "decoder.conv_in.conv.weight" in tensors
    return conv_in and "decoder.mid_block.attentions.0.norm.gamma" in tensors


def rename_diffusers_hunyuan15(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same by the authors' names."""
    renamed = {}
    for key, tensor in tensors.items():
        for pattern, name in (*NAMES, UP):
            key = re.sub(pattern, name, key)
        renamed[key] = tensor
    return renamed
