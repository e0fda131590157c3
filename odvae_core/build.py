"""From a preset's name or a configuration to a network."""

from __future__ import annotations

from typing import Any

from .config import from_dict
from .families.odvae import Odvae
from .families.odvae_config import PRESETS, OdvaeConfig
from .published import odvae_from_published
from .vae import VideoVAE


def build(config: str | OdvaeConfig | dict[str, Any], family: str | None = None) -> VideoVAE:
    """A VAE with random weights that can be trained.

    `config` is a preset's name, a configuration, or a dict: of ours, or a published config.json.
    Raises `ValueError` on an unknown name or field.
    """
    return Odvae(read_config(config))


def read_config(config: str | OdvaeConfig | dict[str, Any]) -> OdvaeConfig:
    if isinstance(config, OdvaeConfig):
        return config
    if isinstance(config, str):
        if config not in PRESETS:
            raise ValueError(f"got preset {config!r}; the presets are {', '.join(PRESETS)}")
        return PRESETS[config]
    if "levels" in config:
        return from_dict(OdvaeConfig, config)
    return odvae_from_published(config)
