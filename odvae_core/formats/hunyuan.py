"""HunyuanVideo's keys, in its authors' and in diffusers' spelling, and diffusers' configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..families.hunyuan_config import HunyuanConfig
from .sections import read_size

NAMES = (
    (r"\.mid_block\.resnets\.0\.", ".mid.block_1."),
    (r"\.mid_block\.resnets\.1\.", ".mid.block_2."),
    (r"\.mid_block\.attentions\.0\.", ".mid.attn_1."),
    (r"\.group_norm\.", ".norm."),
    (r"\.to_(q|k|v)\.", r".\1."),
    (r"\.to_out\.0\.", ".proj_out."),
    (r"\.conv_norm_out\.", ".norm_out."),
    (r"\.conv_shortcut\.", ".nin_shortcut."),
    (r"\.down_blocks\.", ".down."),
    (r"\.resnets\.", ".block."),
    (r"\.downsamplers\.0\.", ".downsample."),
    (r"\.upsamplers\.0\.", ".upsample."),
)
"""diffusers' names, and the authors', in the order in which they are replaced."""

FIELDS = {"in_channels": 3, "out_channels": 3, "act_fn": "silu", "mid_block_add_attention": True}
"""Fields of a config.json that have one value here."""

UP = re.compile(r"decoder\.up_blocks\.(\d+)\.")


def is_hunyuan_config(fields: Mapping[str, Any]) -> bool:
    """Whether a dict is the config.json of diffusers' `AutoencoderKLHunyuanVideo`."""
    return "HunyuanVideoDownBlock3D" in fields.get("down_block_types", ())


def hunyuan_from_published(fields: Mapping[str, Any]) -> HunyuanConfig:
    """The configuration that a config.json describes. Raises `ValueError` on other networks."""
    widths = tuple(fields["block_out_channels"])
    compression = {
        "spatial_compression_ratio": 2 ** (len(widths) - 1),
        "temporal_compression_ratio": 4,
    }
    for name, value in (FIELDS | compression).items():
        if fields.get(name, value) != value:
            raise ValueError(f"got {name} = {fields[name]}; a HunyuanVideo VAE here has {value}")
    return HunyuanConfig(
        fields["latent_channels"],
        widths[0],
        tuple(width // widths[0] for width in widths),
        fields.get("layers_per_block", HunyuanConfig.blocks),
        fields.get("norm_num_groups", HunyuanConfig.norm_groups),
        latent_scale=fields.get("scaling_factor", HunyuanConfig.latent_scale),
    )


def is_hunyuan(tensors: Mapping[str, Tensor]) -> bool:
    """Tell whether these are a HunyuanVideo 1.0 VAE's."""
    quant = tensors.get("post_quant_conv.weight")
    conv_in = "decoder.conv_in.conv.weight" in tensors
    return conv_in and "decoder.mid.attn_1.q.weight" in tensors and is_3d(quant)


def is_3d(weight: Tensor | None) -> bool:
    return weight is not None and weight.ndim == 5


def infer_hunyuan(tensors: Mapping[str, Tensor]) -> tuple[HunyuanConfig, tuple[str, ...]]:
    """The configuration of a HunyuanVideo VAE's weights, and what had to be assumed, as sentences.

    Raises `ValueError` where too little is there.
    """
    blocks = sorted(
        key for key in tensors if re.fullmatch(r"encoder\.down\.\d+\.block\.0\.norm2\.bias", key)
    )
    width = read_size(tensors, "encoder.conv_in.conv.weight", 0)
    config = HunyuanConfig(
        read_size(tensors, "post_quant_conv.weight", 0),
        width,
        tuple(read_size(tensors, key, 0) // width for key in blocks),
        sum(f"encoder.down.0.block.{i}.norm2.bias" in tensors for i in range(len(tensors))),
    )
    scale, groups = config.latent_scale, config.norm_groups
    return config, (
        f"its norms have {groups} groups",
        f"latents are scaled by {scale}, as published",
    )


def is_diffusers_hunyuan(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are a HunyuanVideo 1.0 VAE's in diffusers' spelling."""
    attention = "decoder.mid_block.attentions.0.to_q.weight"
    conv_in = "decoder.conv_in.conv.weight" in tensors
    return conv_in and attention in tensors and is_3d(tensors.get("post_quant_conv.weight"))


def rename_diffusers_hunyuan(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same by the authors' names; linear layers become convolutions of size 1."""
    levels = {int(found[1]) for key in tensors if (found := UP.match(key))}
    renamed = {}
    for key, tensor in tensors.items():
        key = UP.sub(lambda found: f"decoder.up.{max(levels) - int(found[1])}.", key)
        for pattern, name in NAMES:
            key = re.sub(pattern, name, key)
        linear = ".mid.attn_1." in key and tensor.ndim == 2
        renamed[key] = tensor[..., None, None, None] if linear else tensor
    return renamed
