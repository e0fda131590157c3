"""From the 2D SD VAE to an OD-VAE (section 3.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from torch import Tensor

from ..families.odvae import Odvae
from ..families.odvae_config import SD_VAE, OdvaeConfig
from ..provenance import Inflation
from ..registry import build
from ..vae import VideoVAE
from .kernels import INFLATIONS
from .report import prove


def inflate_sd(parent: VideoVAE, config: OdvaeConfig, mode: str) -> tuple[VideoVAE, Inflation]:
    """An OD-VAE with the kernels, sizes and latent space of a 2D SD VAE, and the report.

    `mode` names one of the `INFLATIONS`, or is "random", which keeps the scale of `config`. Raises
    `ValueError` on a parent that is no 2D SD VAE, or one whose levels `config` can't have.
    """
    weights = parent.state_dict()
    if parent.family != Odvae.family or any(weight.ndim == 5 for weight in weights.values()):
        raise ValueError(
            f"got a VAE of the family {parent.family} that compresses time "
            f"{parent.temporal_compression}x, no 2D Stable Diffusion VAE: give the 2D VAE"
        )
    assert isinstance(parent.config, OdvaeConfig)
    like = like_parent(config, parent.config)
    if mode == "random":
        scale = {"latent_scale": config.latent_scale, "latent_shift": config.latent_shift}
        like = replace(like, **scale)
    vae = build(like)
    kept = {} if mode == "random" else inherit(vae.state_dict(), weights, INFLATIONS[mode])
    vae.load_state_dict(kept, strict=False)
    vae.eval()
    return vae, report_inflation(vae, parent, mode, set(kept), set(weights))


def image_parent(config: OdvaeConfig) -> OdvaeConfig:
    """The 2D VAE that inflates into this OD-VAE: SD's architecture at its sizes."""
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


def like_parent(config: OdvaeConfig, parent: OdvaeConfig) -> OdvaeConfig:
    """`config` with the sizes and the latent space of a 2D VAE."""
    if len(parent.levels) != len(config.levels):
        raise ValueError(
            f"the 2D VAE has {len(parent.levels)} levels and the preset {len(config.levels)}; "
            "choose a preset of as many"
        )
    levels = zip(config.levels, parent.levels, strict=True)
    return replace(
        config,
        levels=tuple(replace(ours, multiplier=flat.multiplier) for ours, flat in levels),
        width=parent.width,
        blocks=parent.blocks,
        z_channels=parent.z_channels,
        embed_dim=parent.embed_dim,
        quant=config.quant if parent.quant else "",
        norm_groups=parent.norm_groups,
        latent_scale=parent.latent_scale,
        latent_shift=parent.latent_shift,
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
    """The 2D VAE's name for a weight: the name in a 3D convolution has one more `.conv`."""
    owner, _, leaf = key.rpartition(".")
    shorter = f"{owner.removesuffix('.conv')}.{leaf}"
    return next((name for name in (key, shorter) if name in parent), None)


def report_inflation(
    vae: VideoVAE, parent: VideoVAE, mode: str, kept: set[str], parent_keys: set[str]
) -> Inflation:
    """The report: which keys were taken over, what can't be equal, and a picture through both."""
    assert isinstance(vae.config, OdvaeConfig)
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
    """Where this network can't compute what the 2D VAE computes, in words."""
    sentences = []
    for i, level in enumerate(config.levels):
        if level.up == "joint":
            sentences.append(
                f"decoder.up.{i}.upsample interpolates linearly in space "
                "where the 2D VAE repeats the nearest pixel"
            )
        if level.down_time == "mixed":
            sentences.append(
                f"encoder.down.{i}.time_downsample mixes in a convolution "
                "that the 2D VAE doesn't have"
            )
        if level.up_time == "mixed":
            sentences.append(
                f"decoder.up.{i}.time_upsample mixes in a convolution that the 2D VAE doesn't have"
            )
    if "temporal" in (config.encoder_attention, config.decoder_attention):
        sentences.append("attention is over time where the 2D VAE's is over the picture")
    return sentences
