"""Inflation of a 2D VAE into a video VAE."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from ..checkpoint import load_image_parent
from ..checkpoint.location import locate
from ..config import NetworkConfig
from ..families.ivvae_config import IvvaeConfig
from ..families.odvae_config import OdvaeConfig
from ..files.tensorfile import hash_file, naming
from ..provenance import Inflation, Proof
from ..registry import family_of, read_config
from ..vae import VideoVAE
from .ivvae import image_parent as image_parent_of_ivvae
from .ivvae import inflate_branches
from .kernels import INFLATIONS, average_inflate, center_inflate, tail_inflate
from .odvae import image_parent as image_parent_of_odvae
from .odvae import inflate_sd

__all__ = [
    "MODES",
    "Inflation",
    "Proof",
    "average_inflate",
    "center_inflate",
    "image_parent",
    "inflate",
    "tail_inflate",
]


@dataclass(frozen=True)
class Mode:
    """An inflation mode; `target` is the class of the configuration that it produces.

    `parent` maps a target's configuration to that of its 2D VAE.
    """

    target: type[NetworkConfig]
    run: Callable[[VideoVAE, Any], tuple[VideoVAE, Inflation]]
    parent: Callable[[Any], NetworkConfig]


MODES = {
    **{
        name: Mode(OdvaeConfig, partial(inflate_sd, mode=name), image_parent_of_odvae)
        for name in (*INFLATIONS, "random")
    },
    "branches": Mode(IvvaeConfig, inflate_branches, image_parent_of_ivvae),
}
"""By name. Those into an OD-VAE start from the 2D SD VAE, "branches" from IV-VAE's own 2D VAE."""


def inflate(
    source: str | Path | Mapping[str, Tensor],
    preset: str | dict[str, Any] | NetworkConfig = "odvae-v1.2",
    mode: str = "tail",
) -> VideoVAE:
    """A video VAE initialised from a 2D VAE; its `inflation` reports what was taken over.

    `source` is a file or a state dict. Into an OD-VAE it holds a 2D SD VAE in LDM names, diffusers
    names, or within a whole SD checkpoint; width, multipliers, blocks, latent channels, scale and
    shift are read from it, the rest from `preset`, and the modes are "tail", "average", "center"
    (see the functions of these names) and "random" (fresh weights and the preset's scale, the
    paper's control). Into an IV-VAE it holds a 2D VAE of the preset 'ivvae-2d' with half the latent
    channels, or all where the preset has no half start, and the mode is "branches". Raises
    `ValueError` on an unknown mode, one that can't make the preset, and a source that doesn't fit:
    for a file, a `CheckpointError`.
    """
    if mode not in MODES:
        raise ValueError(f"got mode {mode!r}; the modes are {', '.join(MODES)}")
    config = read_config(preset)
    fitting = find_modes(config)
    if mode not in fitting:
        raise ValueError(
            f"got mode {mode!r} for a preset of the family {family_of(config)}, which "
            + (f"takes {', '.join(fitting)}" if fitting else "can't be inflated: train it")
        )
    parent, assumptions = load_image_parent(source, getattr(config, "norm_groups", 32))
    if not isinstance(source, str | Path):
        vae, report = MODES[mode].run(parent, config)
    else:
        file = locate(source).weights
        with naming(file):
            vae, report = MODES[mode].run(parent, config)
        report = replace(report, source=file, source_sha256=hash_file(file))
    vae.inflation = replace(report, differences=(*report.differences, *assumptions))
    return vae


def find_modes(config: NetworkConfig) -> list[str]:
    """The names of the modes that can make a VAE of this configuration."""
    return [name for name, mode in MODES.items() if isinstance(config, mode.target)]


def image_parent(preset: str | dict[str, Any] | NetworkConfig) -> NetworkConfig:
    """The configuration of the 2D VAE that inflates into this preset.

    Raises `ValueError` where a family can't be inflated.
    """
    config = read_config(preset)
    fitting = find_modes(config)
    if not fitting:
        raise ValueError(f"the family {family_of(config)} can't be inflated, so has no 2D parent")
    return MODES[fitting[0]].parent(config)
