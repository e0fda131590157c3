"""The network that a run trains: a preset, its 2D parent, an inflated one, or a checkpoint."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

import odvae_core
from odvae_core.inflation import image_parent
from odvae_core.registry import family_of, read_config
from odvae_core.vae import VideoVAE

from .config import Config, ConfigError, ModelConfig

log = logging.getLogger(__name__)

FIRST_LOGVAR = -6.0
LOGVAR_BIASES = (
    ("quant_conv.bias",),
    ("quant_conv.conv.bias",),
    ("conv1.conv_2d.bias", "conv1.conv_3d.bias"),
    ("encoder.conv_out.bias",),
    ("encoder.conv_out.conv.bias",),
)
"""Of the layer that makes the moments, in each family: the first of these that a VAE has. Their
second halves belong to the log variances (IV-VAE's once for each branch)."""
HOT = 1e-4
"""Adam's rate above which a pretrained VAE was seen to lose what it knew."""


def choose_preset(config: ModelConfig) -> Any:
    """The preset's configuration with `overrides`. Raises ConfigError on an unknown name."""
    try:
        preset = read_config(config.preset)
        if not config.overrides:
            return preset
        return read_config({**asdict(preset), **config.overrides}, family_of(preset))
    except ValueError as error:
        raise ConfigError(f"model: {error}") from None


def make_vae(config: ModelConfig) -> VideoVAE:
    """Build the network, trainable. Raises ConfigError where a file or an option doesn't fit."""
    try:
        if config.start:
            return odvae_core.load(Path(config.start)).train().requires_grad_(True)
        preset = choose_preset(config)
        if config.parent:
            vae = odvae_core.inflate(Path(config.parent), preset, mode=config.inflation)
            return vae.train().requires_grad_(True)
        return quieten(odvae_core.build(image_parent(preset) if config.images else preset))
    except (ValueError, OSError) as error:
        raise ConfigError(f"model: {error}") from error


@torch.no_grad()
def quieten(vae: VideoVAE) -> VideoVAE:
    """Start with little posterior noise: at random weights it would drown what the encoder says."""
    weights = dict(vae.named_parameters())
    names = next(names for names in LOGVAR_BIASES if names[0] in weights)
    for bias in (weights[name] for name in names if name in weights):
        bias[len(bias) // 2 :] = FIRST_LOGVAR
    return vae


def warn_of_heat(config: Config) -> bool:
    """Say so where a VAE that has learnt already would be trained too fast; whether it was said."""
    settings = config.optimiser
    pretrained = config.model.parent or config.model.start
    hot = settings.name != "muon" and settings.learning_rate > HOT
    if pretrained and hot and settings.schedule == "constant":
        log.warning(
            "optimiser.learning_rate is %g, constant, on a pretrained VAE: above %g it was seen to "
            "forget; lower it, or let it fall with optimiser.schedule=cosine",
            settings.learning_rate,
            HOT,
        )
        return True
    return False


def freeze(vae: VideoVAE, frozen: tuple[str, ...]) -> None:
    """Let all learn but the parts named. Raises ConfigError on a name that the VAE hasn't."""
    vae.requires_grad_(True)
    for name in frozen:
        try:
            vae.get_submodule(name).requires_grad_(False)
        except AttributeError:
            parts = ", ".join(name for name, _ in vae.named_children())
            raise ConfigError(f"frozen names {name!r}; the parts are {parts}") from None
