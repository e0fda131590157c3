"""From the 2D SD VAE to an OD-VAE (section 3.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from torch import Tensor

from ..families.odvae_config import SD_VAE, OdvaeConfig
from ..published import to_ldm
from ..registry import build
from ..vae import VideoVAE
from .kernels import INFLATIONS
from .report import Inflation, prove


def inflate_sd(tensors: Mapping[str, Tensor], config: OdvaeConfig, mode: str) -> VideoVAE:
    """An OD-VAE whose kernels start from a 2D SD VAE's, whose sizes it takes over.

    `mode` names one of the `INFLATIONS`, or is "random". Raises `ValueError` on a source that is no
    2D VAE, or one whose levels `config` can't have.
    """
    parent = to_ldm(tensors)
    vae = build(like_parent(config, parent))
    kept = {} if mode == "random" else inherit(vae.state_dict(), parent, INFLATIONS[mode])
    vae.load_state_dict(kept, strict=False)
    vae.eval()
    parent_vae = build(like_parent(replace(SD_VAE, norm_groups=vae.config.norm_groups), parent))
    parent_vae.load_state_dict(dict(parent))
    vae.inflation = describe(vae, parent_vae.eval(), mode, set(kept), set(parent))
    return vae


def image_parent(config: OdvaeConfig) -> OdvaeConfig:
    """The 2D VAE that inflates into this OD-VAE: SD's wiring at its sizes."""
    levels = tuple(
        replace(flat, multiplier=level.multiplier)
        for flat, level in zip(SD_VAE.levels, config.levels, strict=True)
    )
    return replace(
        SD_VAE,
        levels=levels,
        width=config.width,
        blocks=config.blocks,
        z_channels=config.z_channels,
        embed_dim=config.embed_dim,
        norm_groups=config.norm_groups,
    )


def like_parent(config: OdvaeConfig, parent: Mapping[str, Tensor]) -> OdvaeConfig:
    """`config` with the sizes of a 2D VAE in LDM names."""
    width = parent["encoder.conv_in.weight"].shape[0]
    multipliers = []
    while (key := f"encoder.down.{len(multipliers)}.block.0.conv1.weight") in parent:
        multipliers.append(parent[key].shape[0] // width)
    if len(multipliers) != len(config.levels):
        raise ValueError(
            f"the 2D VAE has {len(multipliers)} levels and the preset {len(config.levels)}; "
            "choose a preset of as many"
        )
    blocks = sum(f"encoder.down.0.block.{i}.conv1.weight" in parent for i in range(len(parent)))
    quant = parent.get("post_quant_conv.weight")
    z_channels = parent["decoder.conv_in.weight"].shape[1]
    return replace(
        config,
        levels=tuple(
            replace(level, multiplier=m)
            for level, m in zip(config.levels, multipliers, strict=True)
        ),
        width=width,
        blocks=blocks,
        z_channels=z_channels,
        embed_dim=z_channels if quant is None else quant.shape[1],
        quant=config.quant if quant is not None else "",
    )


def inherit(
    target: Mapping[str, Tensor],
    parent: Mapping[str, Tensor],
    inflate_kernel: Callable[[Tensor, int], Tensor],
) -> dict[str, Tensor]:
    """The weights that the parent gives, by the target's keys; the others are left out."""
    kept = {}
    for key, weight in target.items():
        name = parent_key(key, parent)
        if name is not None:
            value = parent[name]
            if value.ndim == 4 and weight.ndim == 5:
                value = inflate_kernel(value.float(), weight.shape[2])
            kept[key] = value.to(weight).clone()
    return kept


def parent_key(key: str, parent: Mapping[str, Tensor]) -> str | None:
    """The 2D VAE's name for a weight of ours: a 3D convolution has one `.conv` more."""
    owner, _, leaf = key.rpartition(".")
    shorter = f"{owner.removesuffix('.conv')}.{leaf}"
    return next((name for name in (key, shorter) if name in parent), None)


def describe(
    vae: VideoVAE, parent: VideoVAE, mode: str, kept: set[str], parent_keys: set[str]
) -> Inflation:
    """Sort the keys, name what differs by design, and run the proof."""
    keys = list(vae.state_dict())
    return Inflation(
        mode,
        copied=tuple(key for key in keys if key in kept and key in parent_keys),
        inflated=tuple(key for key in keys if key in kept and key not in parent_keys),
        fresh=tuple(key for key in keys if key not in kept),
        differences=tuple(name_differences(vae.config)),
        proof=prove(vae, parent),
    )


def name_differences(config: OdvaeConfig) -> list[str]:
    """Where this wiring can't do what the 2D VAE does, in words."""
    sentences = []
    for i, level in enumerate(config.levels):
        if level.up == "joint":
            sentences.append(
                f"decoder.up.{i}.upsample interpolates linearly in space "
                "where the 2D VAE repeats the nearest pixel"
            )
        if level.down_time == "mixed":
            sentences.append(
                f"encoder.down.{i}.time_downsample mixes in a convolution that the 2D VAE hasn't"
            )
        if level.up_time == "mixed":
            sentences.append(
                f"decoder.up.{i}.time_upsample mixes in a convolution that the 2D VAE hasn't"
            )
    if "temporal" in (config.encoder_attention, config.decoder_attention):
        sentences.append("attention is over time where the 2D VAE's is over the picture")
    return sentences
