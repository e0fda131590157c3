"""OPS-VAE's configuration fields and keys, as Open-Sora 1.2 writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..families.opsvae_config import SCALE, OpsvaeConfig
from ..scaling import Factors
from .sections import read_size

CLASS = "VideoAutoencoderPipeline"
TIME, IMAGE = "temporal_vae.encoder", "spatial_vae.module.encoder"


def is_opsvae_config(fields: Mapping[str, Any]) -> bool:
    """Tell whether a config.json is one of Open-Sora's VAEs."""
    kind = fields.get("model_type")
    return kind == "OpenSoraVAE_V1_3" or {"vae_2d", "vae_temporal"} <= set(fields)


def opsvae_from_published(fields: Mapping[str, Any]) -> OpsvaeConfig:
    """The configuration that Open-Sora 1.2's config.json describes.

    It names the class of both stages, whose architecture is the default where it isn't given.
    Raises `ValueError` on what can't be built.
    """
    kind = fields.get("model_type", CLASS)
    if kind != CLASS:
        raise ValueError(f"got the class {kind}, another network: load it with its authors' code")
    image, time = fields["vae_2d"], fields["vae_temporal"]
    if fields.get("micro_frame_size", OpsvaeConfig.piece_frames) is None:
        raise ValueError("got micro_frame_size = None; give 17, and Whole() for clips in one piece")
    scaled = not fields.get("cal_loss", False)
    scale = [1 / value for value in fields.get("scale", SCALE)]
    return OpsvaeConfig(
        time.get("in_out_channels", OpsvaeConfig.z_channels),
        tuple(image.get("block_out_channels", OpsvaeConfig.image_widths)),
        image.get("layers_per_block", OpsvaeConfig.image_blocks),
        time.get("filters", OpsvaeConfig.width),
        tuple(time.get("channel_multipliers", OpsvaeConfig.multipliers)),
        time.get("num_res_blocks", OpsvaeConfig.blocks),
        tuple(time.get("temporal_downsample", OpsvaeConfig.halves_time)),
        time.get("num_groups", OpsvaeConfig.norm_groups),
        fields.get("micro_frame_size", OpsvaeConfig.piece_frames),
        tuple(scale) if scaled else 1.0,
        tuple(fields.get("shift", OpsvaeConfig.latent_shift)) if scaled else 0.0,
    )


def opsvae_to_published(config: OpsvaeConfig) -> dict[str, Any]:
    """The config.json of a configuration, with the architecture of both stages."""
    count = config.z_channels

    def repeat(factors: Factors) -> list[float]:
        return list(factors) if isinstance(factors, tuple) else [factors] * count

    return {
        "model_type": CLASS,
        "vae_2d": {
            "type": "VideoAutoencoderKL",
            "block_out_channels": list(config.image_widths),
            "layers_per_block": config.image_blocks,
        },
        "vae_temporal": {
            "type": "VAE_Temporal_SD",
            "in_out_channels": count,
            "filters": config.width,
            "channel_multipliers": list(config.multipliers),
            "num_res_blocks": config.blocks,
            "temporal_downsample": list(config.halves_time),
            "num_groups": config.norm_groups,
        },
        "micro_frame_size": config.piece_frames,
        "cal_loss": False,
        "scale": [1 / value for value in repeat(config.latent_scale)],
        "shift": repeat(config.latent_shift),
    }


def is_opsvae(tensors: Mapping[str, Tensor]) -> bool:
    """Tell whether these are an OPS-VAE's."""
    return {f"{TIME}.conv_in.conv.weight", f"{IMAGE}.conv_in.weight"} <= set(tensors)


def infer_opsvae(tensors: Mapping[str, Tensor]) -> tuple[OpsvaeConfig, tuple[str, ...]]:
    """The configuration of an OPS-VAE's weights, and what had to be assumed, as sentences.

    Raises `ValueError` where too little is there.
    """
    width = read_size(tensors, f"{TIME}.conv_in.conv.weight", 0)
    levels = list_sizes(tensors, f"{TIME}.block_res_blocks.{{}}.0.conv1.conv.weight")
    factors = (tensors.get(name) for name in ("scale", "shift"))
    scale, shift = (
        None if factor is None else tuple(factor.flatten().tolist()) for factor in factors
    )
    config = OpsvaeConfig(
        read_size(tensors, f"{TIME}.conv_in.conv.weight", 1),
        list_sizes(tensors, f"{IMAGE}.down_blocks.{{}}.resnets.0.conv1.weight"),
        len(list_sizes(tensors, f"{IMAGE}.down_blocks.0.resnets.{{}}.conv1.weight")),
        width,
        tuple(size // width for size in levels),
        len(list_sizes(tensors, f"{TIME}.res_blocks.{{}}.conv1.conv.weight")),
        tuple(f"{TIME}.conv_blocks.{i}.conv.weight" in tensors for i in range(len(levels) - 1)),
        latent_scale=tuple(1 / value for value in scale or SCALE),
        latent_shift=shift or OpsvaeConfig.latent_shift,
    )
    return config, (f"clips are cut into pieces of {config.piece_frames} frames, as published",)


def list_sizes(tensors: Mapping[str, Tensor], name: str) -> tuple[int, ...]:
    """The output channels of the weights of a name with one open number, in its order."""
    sizes: list[int] = []
    while name.format(len(sizes)) in tensors:
        sizes.append(read_size(tensors, name.format(len(sizes)), 0))
    return tuple(sizes)
