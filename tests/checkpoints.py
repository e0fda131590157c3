"""Small checkpoints for the tests, in any layout."""

from dataclasses import replace

import odvae_core as odvae
from odvae_core.families.odvae_config import PRESETS


def shrink(preset):
    """The configuration of a preset at width 32 everywhere, with one block a level."""
    config = PRESETS[preset]
    levels = tuple(replace(level, multiplier=1) for level in config.levels)
    return replace(config, levels=levels, width=32, blocks=1)


def build_small(preset="odvae-v1.2"):
    """A small VAE of random weights."""
    return odvae.build(shrink(preset)).requires_grad_(False)
