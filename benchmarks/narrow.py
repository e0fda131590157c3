"""Presets at a quarter of their width, for benchmarks on small machines."""

from __future__ import annotations

from dataclasses import replace

import odvae_core as odvae
from odvae_core.registry import read_config
from odvae_core.vae import VideoVAE

NARROWER = 4


def build_narrow(preset: str) -> VideoVAE:
    """A preset of any family at a quarter of its width, with random weights."""
    config = read_config(preset)
    if hasattr(config, "width"):
        return odvae.build(replace(config, width=config.width // NARROWER))
    levels = (replace(level, channels=level.channels // NARROWER) for level in config.levels)
    return odvae.build(replace(config, levels=tuple(levels)))
