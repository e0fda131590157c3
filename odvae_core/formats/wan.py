"""Wan's keys, in its authors' and in diffusers' spelling, and diffusers' configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from ..families.wan_config import PRESETS, WanConfig, invert
from .sections import read_size

NAMES = (
    (r"\.norm1\.", ".residual.0."),
    (r"\.conv1\.", ".residual.2."),
    (r"\.norm2\.", ".residual.3."),
    (r"\.conv2\.", ".residual.6."),
    (r"\.conv_shortcut\.", ".shortcut."),
    (r"\.mid_block\.resnets\.0\.", ".middle.0."),
    (r"\.mid_block\.attentions\.0\.", ".middle.1."),
    (r"\.mid_block\.resnets\.1\.", ".middle.2."),
    (r"\.conv_in\.", ".conv1."),
    (r"\.norm_out\.", ".head.0."),
    (r"\.conv_out\.", ".head.2."),
    (r"^quant_conv\.", "conv1."),
    (r"^post_quant_conv\.", "conv2."),
)
"""diffusers' names, and the authors', in the order in which they are replaced."""

LEVEL = re.compile(
    r"^(?P<coder>..coder)\.(?P<way>down|up)_blocks\.(?P<level>\d+)\."
    r"(resnets\.(?P<block>\d+)|(down|up)sampler|upsamplers\.0)\."
)
"""A layer of a level, in diffusers' spelling."""


def is_wan_config(fields: Mapping[str, Any]) -> bool:
    """Whether a dict is the config.json of diffusers' `AutoencoderKLWan`, or of Qwen-Image's."""
    return {"base_dim", "dim_mult", "z_dim"} <= set(fields)


def wan_from_published(fields: Mapping[str, Any]) -> WanConfig:
    """The configuration that a config.json describes. Raises `ValueError` on other networks."""
    multipliers = tuple(fields["dim_mult"])
    halves_time = [False] * (len(multipliers) - 3) + [True, True]
    for name, value in (("temperal_downsample", halves_time), ("attn_scales", [])):
        if list(fields.get(name, value)) != value:
            raise ValueError(f"got {name} = {fields[name]}; a Wan VAE here has {value}")
    width, z = fields["base_dim"], fields["z_dim"]
    config = WanConfig(
        "2.2" if fields.get("is_residual") else "2.1",
        z,
        width,
        fields.get("decoder_base_dim") or width,
        multipliers,
        fields.get("num_res_blocks", WanConfig.blocks),
    )
    mean, std = fields.get("latents_mean"), fields.get("latents_std")
    if not mean or not std or not all(std):
        return scale_as_published(config)[0]
    return replace(config, latent_scale=invert(tuple(std)), latent_shift=tuple(mean))


def is_wan(tensors: Mapping[str, Tensor]) -> bool:
    """Tell whether these are a Wan VAE's."""
    conv = tensors.get("encoder.conv1.weight")
    return "decoder.middle.0.residual.0.gamma" in tensors and conv is not None and conv.ndim == 5


def infer_wan(tensors: Mapping[str, Tensor]) -> tuple[WanConfig, tuple[str, ...]]:
    """The configuration of a Wan VAE's weights, and what had to be assumed, as sentences.

    Raises `ValueError` where too little is there.
    """
    nested = any(key.startswith("encoder.downsamples.0.downsamples.") for key in tensors)
    levels = read_nested_levels(tensors) if nested else read_levels(tensors)
    if not all(levels):
        raise ValueError("its architecture can't be read: a level is missing")
    width = read_size(tensors, "encoder.conv1.weight", 0)
    config = WanConfig(
        "2.2" if nested else "2.1",
        read_size(tensors, "conv2.weight", 0),
        width,
        read_size(tensors, "decoder.head.0.gamma", 0),
        tuple(sizes[0] // width for sizes in levels),
        len(levels[0]),
    )
    return scale_as_published(config)


def read_levels(tensors: Mapping[str, Tensor]) -> list[list[int]]:
    """The channels of the residual blocks of the encoder of 2.1, level by level."""
    levels: list[list[int]] = [[]]
    for i in range(len(tensors)):
        gamma = f"encoder.downsamples.{i}.residual.3.gamma"
        if gamma in tensors:
            levels[-1].append(read_size(tensors, gamma, 0))
        elif f"encoder.downsamples.{i}.resample.1.weight" in tensors:
            levels.append([])
    return levels


def read_nested_levels(tensors: Mapping[str, Tensor]) -> list[list[int]]:
    """The same of 2.2, whose levels are numbered by themselves."""
    levels: dict[int, list[int]] = {}
    for key in tensors:
        found = re.match(r"encoder\.downsamples\.(\d+)\.downsamples\.\d+\.residual\.3\.gamma", key)
        if found:
            levels.setdefault(int(found[1]), []).append(read_size(tensors, key, 0))
    return [levels.get(i, []) for i in range(len(levels))]


def scale_as_published(config: WanConfig) -> tuple[WanConfig, tuple[str, ...]]:
    """Add the mean and deviation of the published latents; says so in a sentence."""
    for name, preset in PRESETS.items():
        if replace(preset, latent_scale=1.0, latent_shift=0.0) == config:
            return preset, (f"latents have the mean and deviation published for {name}",)
    return config, ("latents are neither scaled nor shifted",)


def is_diffusers_wan(tensors: Mapping[str, Tensor]) -> bool:
    """Whether these are a Wan VAE's in diffusers' spelling."""
    conv = tensors.get("encoder.conv_in.weight")
    attention = "decoder.mid_block.attentions.0.to_qkv.weight"
    return attention in tensors and conv is not None and conv.ndim == 5


def rename_diffusers_wan(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same by the authors' names."""
    counts: dict[str, int] = {}
    for key in tensors:
        if (found := LEVEL.match(key)) and found["block"]:
            counts[found["way"]] = max(counts.get(found["way"], 0), int(found["block"]) + 1)
    nested = any(".upsampler." in key for key in tensors)
    return {rename_key(key, counts, nested): tensor for key, tensor in tensors.items()}


def rename_key(key: str, counts: Mapping[str, int], nested: bool) -> str:
    """One name; `counts` are the residual blocks of a level down and up."""
    if found := LEVEL.match(key):
        way, level = found["way"], int(found["level"])
        index = int(found["block"]) if found["block"] else counts.get(way, 0)
        if nested:
            path = f"{level}.{way}samples.{index}"
        else:
            path = f"{level * (counts.get(way, 0) + 1) + index}"
        key = f"{found['coder']}.{way}samples.{path}.{key[found.end() :]}"
    key = key.replace(".down_blocks.", ".downsamples.")  # numbered through already in 2.1
    for pattern, name in NAMES:
        key = re.sub(pattern, name, key)
    return key
