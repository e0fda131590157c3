"""The network of a run: a Latte of a preset's size for the latents, random or from a file."""

from __future__ import annotations

from dataclasses import asdict, replace

import torch

from odvae_core import diffusion
from odvae_core.diffusion import Latte, LatteConfig

from ..config import ConfigError
from .config import DiffusionConfig
from .latents import Latents


def make_latte_config(config: DiffusionConfig, latents: Latents) -> LatteConfig:
    """The sizes of the configuration, for these latents. Raises ConfigError."""
    channels, frames, side, _ = latents.shape
    vae = latents.vae
    try:
        preset = diffusion.list_presets("latte")[config.model.preset]
        fields = {**asdict(preset), **config.model.overrides}
        return replace(
            diffusion.families.read_config(fields, "latte"),
            in_channels=channels,
            latent_frames=frames,
            side=side,
            classes=len(latents.classes) or None,
            latent_scale=latents.scale,
            latent_shift=latents.shift,
            temporal_compression=vae["temporal_compression"],
            spatial_compression=vae["spatial_compression"],
        )
    except KeyError:
        presets = ", ".join(diffusion.list_presets("latte"))
        raise ConfigError(
            f"model.preset is {config.model.preset!r}; the presets of Latte are {presets}"
        ) from None
    except ValueError as error:
        raise ConfigError(f"model: {error}") from None


def make_network(config: DiffusionConfig, latents: Latents) -> Latte:
    """Build the network, trainable; its random weights follow from `run.seed`.

    Raises ConfigError where the file of `model.start` is of another network.
    """
    wanted = make_latte_config(config, latents)
    torch.manual_seed(config.run.seed)
    network = diffusion.build(wanted)
    assert isinstance(network, Latte)
    if config.model.start:
        start = diffusion.load(config.model.start)
        if start.config != wanted:
            raise ConfigError(
                f"model.start is {start.config}, but the configuration and the latents make "
                f"{wanted}: give the latents and sizes that it was trained with"
            )
        network.load_state_dict(start.state_dict())
    return network.train()
