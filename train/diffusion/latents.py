"""The latents of a training: those of `odvae encode-dataset`, with labels and scale."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from odvae_core.dataset import read_latents
from odvae_core.scaling import Factors, scale_latent

from ..config import ConfigError
from .config import LatentsConfig

Facts = Mapping[str, Any]
SHARED = (
    "latent_channels",
    "temporal_compression",
    "spatial_compression",
    "family",
    "checkpoint_sha256",
)
"""Facts of the VAE that a trained model keeps."""


@dataclass(frozen=True)
class Latents:
    """Latents [C, T, h, w] of one shape as the VAE gives them, in memory in their stored type.

    `logvars` are there where `odvae encode-dataset --logvar` stored them: a new sample is then
    drawn each time. `labels` are indices into `classes`; both are empty without labels. Networks
    see (latent - shift) * scale. `digest` tells two sets apart.
    """

    means: tuple[Tensor, ...]
    logvars: tuple[Tensor, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    scale: Factors
    shift: Factors
    vae: Facts
    digest: str

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Channels, frames, height and width."""
        channels, frames, height, width = self.means[0].shape
        return channels, frames, height, width

    def draw(self, index: int, generator: torch.Generator) -> Tensor:
        """One sample as the network sees it, [T, C, h, w] in float32."""
        latent = self.means[index].float()
        if self.logvars:
            noise = torch.randn(latent.shape, generator=generator)
            latent = latent + (0.5 * self.logvars[index].float()).exp() * noise
        return scale_latent(latent[None], self.scale, self.shift)[0].transpose(0, 1)


def load_latents(config: LatentsConfig) -> Latents:
    """Read a folder of latents. Raises ConfigError where they aren't of one square shape."""
    means, logvars, names, facts = [], [], [], {}
    digest = hashlib.sha256()
    for name, latent, facts in read_latents(Path(config.path)):
        means.append(latent)
        if isinstance(facts.get("logvar"), Tensor):  # otherwise whether it was stored
            logvars.append(facts["logvar"])
        names.append(name_class(facts, config))
        check_shape(name, latent, means[0])
        digest.update(json.dumps([name, facts["checkpoint_sha256"], names[-1]]).encode())
    if not means:
        raise ConfigError(
            f"data.path {config.path} holds no latents: run `odvae encode-dataset` to its end"
        )
    classes = sorted(set(names)) if config.labels != "none" else []
    scale, shift = choose_scale(config, means, logvars, facts)
    return Latents(
        tuple(means),
        tuple(logvars),
        tuple(classes.index(name) for name in names) if classes else (),
        tuple(classes),
        scale,
        shift,
        {name: facts[name] for name in SHARED},
        digest.hexdigest(),
    )


def check_shape(name: str, latent: Tensor, first: Tensor) -> None:
    """Raise ConfigError where a latent isn't square, or differs from the first."""
    if latent.shape != first.shape or latent.shape[2] != latent.shape[3]:
        raise ConfigError(
            f"the latent {name} is {list(latent.shape)}, the first {list(first.shape)}; a training "
            "takes square ones of one shape: encode with --frames-per-clip and --crop"
        )


def name_class(facts: Facts, config: LatentsConfig) -> str:
    """The class of a sample by its facts, "" without labels. Raises ConfigError."""
    if config.labels == "none":
        return ""
    if config.labels == "column":
        columns = facts.get("columns", {})
        if config.column not in columns:
            raise ConfigError(
                f"{facts['path']} has no column {config.column!r}, only "
                f"{', '.join(columns) or 'none'}: set data.column, or encode a list with labels"
            )
        return str(columns[config.column])
    folders = PurePosixPath(facts["path"].replace("\\", "/")).parts[:-1]
    if not folders:
        raise ConfigError(
            f"{facts['path']} lies in no folder that could be its class: sort the clips into "
            "folders, or set data.labels=column or none"
        )
    return folders[0]


def choose_scale(
    config: LatentsConfig, means: list[Tensor], logvars: list[Tensor], facts: Facts
) -> tuple[Factors, Factors]:
    """The scale and the shift of the latents."""
    if config.scale == "family":
        return read_factors(facts["latent_scale"]), read_factors(facts["latent_shift"])
    values = torch.stack([mean.float() for mean in means])
    variance = values.var(correction=0)
    if logvars:
        variance = (
            variance + torch.stack([logvar.float().exp().mean() for logvar in logvars]).mean()
        )
    return 1 / float(variance.sqrt()), 0.0


def read_factors(stored: float | list[float]) -> Factors:
    """Factors as JSON has them: one number, or a list of one for each channel."""
    return tuple(stored) if isinstance(stored, list) else stored
