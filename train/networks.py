"""The network of a run: a preset, its 2D parent, an inflated 2D checkpoint, or a checkpoint."""

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
    ("conv1.bias",),
    ("encoder.conv_out.bias",),
    ("encoder.conv_out.conv.bias",),
)
"""The biases of the layer that computes the moments; of the rows the first that a VAE has is used.
Their second halves are those of the log variances (IV-VAE has two branches)."""
HIGH_LEARNING_RATE = 1e-4
"""With Adam at a constant rate above this, pretrained VAEs got worse."""


def choose_preset(config: ModelConfig) -> Any:
    """The preset's configuration with `overrides`. Raises ConfigError for an unknown name."""
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
        return reduce_posterior_noise(
            odvae_core.build(image_parent(preset) if config.images else preset)
        )
    except (ValueError, OSError) as error:
        raise ConfigError(f"model: {error}") from error


@torch.no_grad()
def reduce_posterior_noise(vae: VideoVAE) -> VideoVAE:
    """Set a small initial posterior variance; with random weights the noise hides the latent."""
    weights = dict(vae.named_parameters())
    names = next(names for names in LOGVAR_BIASES if names[0] in weights)
    for bias in (weights[name] for name in names if name in weights):
        bias[len(bias) // 2 :] = FIRST_LOGVAR
    return vae


def warn_of_high_learning_rate(config: Config) -> bool:
    """Warn of a high constant learning rate for a pretrained VAE; whether a warning was logged."""
    settings = config.optimiser
    pretrained = config.model.parent or config.model.start
    is_high = settings.name != "muon" and settings.learning_rate > HIGH_LEARNING_RATE
    if pretrained and is_high and settings.schedule == "constant":
        log.warning(
            "optimiser.learning_rate is %g, constant, for a pretrained VAE; above %g pretrained "
            "VAEs got worse: lower it, or set optimiser.schedule=cosine",
            settings.learning_rate,
            HIGH_LEARNING_RATE,
        )
        return True
    return False


def freeze_parts(vae: VideoVAE, frozen: tuple[str, ...]) -> None:
    """Train all parts but those named. Raises ConfigError for a name that the VAE doesn't have."""
    vae.requires_grad_(True)
    for name in frozen:
        try:
            vae.get_submodule(name).requires_grad_(False)
        except AttributeError:
            parts = ", ".join(name for name, _ in vae.named_children())
            raise ConfigError(f"frozen names {name!r}; the parts are {parts}") from None
