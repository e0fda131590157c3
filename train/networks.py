"""The network that a run trains: a preset, its 2D parent, or the preset inflated from a parent."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

import odvae_core
from odvae_core.families.odvae_config import PRESETS, SD_VAE, OdvaeConfig
from odvae_core.vae import VideoVAE

from .config import ConfigError, ModelConfig

FIRST_LOGVAR = -6.0


def image_parent(config: OdvaeConfig) -> OdvaeConfig:
    """The 2D VAE that tail-inflates into this one: SD's wiring at its widths."""
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


@torch.no_grad()
def quieten(vae: VideoVAE) -> VideoVAE:
    """Start with little posterior noise: at random weights it would drown what the encoder says."""
    weights = dict(vae.named_parameters())
    for name in ("quant_conv.bias", "quant_conv.conv.bias"):
        if name in weights:
            weights[name][vae.latent_channels :] = FIRST_LOGVAR
    return vae


def make_vae(config: ModelConfig) -> VideoVAE:
    """Build the network, trainable. Raises ConfigError where the options don't go together."""
    if config.preset not in PRESETS:
        raise ConfigError(f"model.preset is {config.preset!r}; it is one of {', '.join(PRESETS)}")
    preset = PRESETS[config.preset]
    if config.images + bool(config.parent) + bool(config.start) > 1:
        raise ConfigError(
            "model.images, model.parent and model.start are three ways to begin; set one of them"
        )
    if config.start:
        return odvae_core.load(Path(config.start)).train().requires_grad_(True)
    if config.images:
        return quieten(odvae_core.build(image_parent(preset)))
    if not config.parent:
        return quieten(odvae_core.build(preset))
    vae = odvae_core.inflate(Path(config.parent), preset, mode=config.inflation)
    return vae.train().requires_grad_(True)
