"""VAEs as their authors' code reads them: the keys, the constants and the config.json."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..families.odvae_config import OdvaeConfig
from ..files.atomic import replacing
from ..files.tensorfile import naming, write_safetensors
from ..formats import (
    cvvae_to_published,
    diffusers_from_sd,
    is_sd_vae,
    ivvae_to_published,
    odvae_to_published,
    opsvae_to_published,
    to_diffusers,
    wfvae_constants,
    wfvae_to_published,
)
from ..registry import read_config
from ..vae import VideoVAE
from .write import as_stored

DIFFUSERS_FILE = "diffusion_pytorch_model.safetensors"
FORMATS = ("authors", "diffusers")


@dataclass(frozen=True)
class Layout:
    """How a family's authors store a VAE.

    `describe` gives the fields of their config.json; `constants` are tensors that their code stores
    besides the weights; `file` is the name of the weights.
    """

    describe: Callable[[Any], dict[str, Any]]
    constants: Callable[[Any], Mapping[str, Tensor]] = lambda config: {}
    file: str = DIFFUSERS_FILE


AUTHORS = {
    "odvae": Layout(odvae_to_published),
    "cvvae": Layout(cvvae_to_published),
    "ivvae": Layout(ivvae_to_published, file="ivvae.pth"),
    "opsvae": Layout(opsvae_to_published, file="model.safetensors"),
    "wfvae": Layout(wfvae_to_published, wfvae_constants),
}
"""The families whose authors' layouts are written. IV-VAE's authors load a PyTorch file."""


def export(vae: VideoVAE, folder: Path, kind: str, dtype: torch.dtype | None = None) -> list[Path]:
    """Write a folder of config.json and weights; returns the files.

    `kind` is "authors", or "diffusers" for a 2D VAE as AutoencoderKL; `dtype` None keeps the VAE's.
    Each file is written whole or not at all. Raises `ValueError` where that code has no such
    network, and `CheckpointError` where a file can't be written.
    """
    if kind not in FORMATS:
        raise ValueError(f"got format {kind!r}; choose one of {', '.join(FORMATS)}")
    if kind == "diffusers":
        fields, tensors, name = describe_as_diffusers(vae), to_diffusers(vae.state_dict()), ""
    else:
        fields, tensors = describe_as_published(vae), to_published(vae)
        name = find_layout(vae).file
    weights, config = folder / (name or DIFFUSERS_FILE), folder / "config.json"
    with naming(weights):
        stored = {key: as_stored(key, value, dtype) for key, value in tensors.items()}
    folder.mkdir(parents=True, exist_ok=True)
    if weights.suffix == ".safetensors":
        write_safetensors(weights, stored, {"format": "pt"})
    else:
        with replacing(weights) as aside:
            torch.save(stored, aside)
    with replacing(config) as aside:
        aside.write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")
    return [config, weights]


def find_layout(vae: VideoVAE) -> Layout:
    """The authors' layout of a VAE. Raises `ValueError` where none is written here."""
    if vae.family not in AUTHORS:
        raise ValueError(
            f"got a VAE of the family {vae.family}; the authors' layouts are written for "
            f"{', '.join(AUTHORS)}: save it with odvae_core.save instead"
        )
    return AUTHORS[vae.family]


def to_published(vae: VideoVAE) -> dict[str, Tensor]:
    """The weights of a VAE under the authors' keys, with the constants that their code stores."""
    return {**vae.state_dict(), **find_layout(vae).constants(vae.config)}


def describe_as_published(vae: VideoVAE) -> dict[str, Any]:
    """The fields of the config.json that the authors' code reads.

    Raises `ValueError` where their code can't build this network, or would scale its latents
    otherwise: read back, the fields must give the same configuration.
    """
    fields = find_layout(vae).describe(vae.config)
    back = read_config(fields, vae.family)
    lost = [
        field.name
        for field in dataclasses.fields(vae.config)
        if getattr(back, field.name) != getattr(vae.config, field.name)
    ]
    if lost:
        raise ValueError(
            f"the authors' configuration can't express {', '.join(lost)} of this VAE: "
            "save it with odvae_core.save instead"
        )
    return fields


def describe_as_diffusers(vae: VideoVAE) -> dict[str, Any]:
    """The fields of AutoencoderKL's config.json. Raises `ValueError` unless it is a 2D VAE."""
    if not isinstance(vae.config, OdvaeConfig) or not is_sd_vae(vae.state_dict()):
        raise ValueError(
            f"got a video VAE of the family {vae.family}; diffusers' AutoencoderKL is a 2D VAE: "
            "choose --format authors"
        )
    return diffusers_from_sd(vae.config)
