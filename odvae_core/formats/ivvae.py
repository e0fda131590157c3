"""IV-VAE's constructor arguments and keys, as its authors write them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from ..families.ivvae_config import PRESETS, IvvaeConfig
from .sections import read_size


def is_ivvae_config(fields: Mapping[str, Any]) -> bool:
    """Tell whether a dict holds the arguments of the authors' `VAutoencoder3d`."""
    return "dim_mult" in fields and "z_dim" in fields and "base_dim" not in fields


def ivvae_from_published(fields: Mapping[str, Any]) -> IvvaeConfig:
    """The configuration that the authors' arguments describe.

    Raises `ValueError` on what can't be built.
    """
    multipliers = tuple(fields["dim_mult"])
    halves_time = [False] * (len(multipliers) - 3) + [True, True]
    if list(fields.get("temperal_downsample", halves_time)) != halves_time:
        raise ValueError(
            f"got temperal_downsample = {fields['temperal_downsample']}; "
            f"its groups of four frames need {halves_time}"
        )
    if fields.get("attn_scales"):
        raise ValueError(f"got attn_scales = {fields['attn_scales']}; an IV-VAE here has none")
    return IvvaeConfig(
        fields["z_dim"],
        fields.get("dim", IvvaeConfig.width),
        fields.get("scale_factor", IvvaeConfig.latent_scale),
        fields.get("shift_factor", IvvaeConfig.latent_shift),
        multipliers,
        fields.get("num_res_blocks", IvvaeConfig.blocks),
    )


def ivvae_to_published(config: IvvaeConfig) -> dict[str, Any]:
    """The arguments of the authors' `VAutoencoder3d`."""
    return {
        "dim": config.width,
        "z_dim": config.z_channels,
        "dim_mult": list(config.multipliers),
        "num_res_blocks": config.blocks,
        "attn_scales": [],
        "temperal_downsample": [False] * (len(config.multipliers) - 3) + [True, True],
        "dropout": 0.0,
        "scale_factor": config.latent_scale,
        "shift_factor": config.latent_shift,
    }


def is_ivvae(tensors: Mapping[str, Tensor]) -> bool:
    """Tell whether these are an IV-VAE's."""
    return "encoder.conv1.conv_2d.weight" in tensors


def infer_ivvae(tensors: Mapping[str, Tensor]) -> tuple[IvvaeConfig, tuple[str, ...]]:
    """The configuration of an IV-VAE's weights, and what had to be assumed, as sentences.

    Raises `ValueError` where too little is there.
    """
    branches = 2 if "encoder.conv1.conv_3d.weight" in tensors else 1
    width = read_size(tensors, "encoder.conv1.conv_2d.weight", 0)
    levels = read_levels(tensors)
    if not all(levels):
        raise ValueError("its architecture can't be read: a level is missing")
    config = IvvaeConfig(
        read_size(tensors, "decoder.conv1.conv.weight", 1),
        width,
        multipliers=tuple(sizes[0] // (branches * width) for sizes in levels),
        blocks=len(levels[0]),
        branches=branches,
        perception="encoder.head.2.PAC_conv.conv.weight" in tensors,
    )
    return scale_as_published(config)


def read_levels(tensors: Mapping[str, Tensor]) -> list[list[int]]:
    """The channels of the encoder's residual blocks, level by level."""
    levels: list[list[int]] = [[]]
    for i in range(len(tensors)):
        gamma = f"encoder.downsamples.{i}.residual.3.gamma"
        if gamma in tensors:
            levels[-1].append(read_size(tensors, gamma, 0))
        elif f"encoder.downsamples.{i}.resample_2d.1.weight" in tensors:
            levels.append([])
    return levels


def scale_as_published(config: IvvaeConfig) -> tuple[IvvaeConfig, tuple[str, ...]]:
    """Add the scale and shift of the published file of this architecture; says so in a sentence.

    No file stores them; an unpublished architecture has none.
    """
    for name, preset in PRESETS.items():
        scale = {"latent_scale": preset.latent_scale, "latent_shift": preset.latent_shift}
        if preset.branches == 2 and replace(config, **scale) == preset:
            sentence = f"latents are scaled by {preset.latent_scale} and shifted by "
            return preset, (f"{sentence}{preset.latent_shift}, as published for {name}",)
    return config, ("latents are neither scaled nor shifted",)
