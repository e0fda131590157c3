"""VAEs as their authors' code reads them: the keys, the constants and the config.json."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..formats import (
    cvvae_to_published,
    ivvae_to_published,
    odvae_to_published,
    opsvae_to_published,
    wfvae_constants,
    wfvae_to_published,
)
from ..registry import read_config
from ..vae import VideoVAE


@dataclass(frozen=True)
class Layout:
    """How a family's authors store a VAE.

    `describe` gives the fields of their config.json; `constants` are tensors that their code stores
    besides the weights; `file` is the name of the weights.
    """

    describe: Callable[[Any], dict[str, Any]]
    constants: Callable[[Any], Mapping[str, Tensor]] = lambda config: {}
    file: str = "diffusion_pytorch_model.safetensors"


AUTHORS = {
    "odvae": Layout(odvae_to_published),
    "cvvae": Layout(cvvae_to_published),
    "ivvae": Layout(ivvae_to_published, file="ivvae.pth"),
    "opsvae": Layout(opsvae_to_published, file="model.safetensors"),
    "wfvae": Layout(wfvae_to_published, wfvae_constants),
}
"""The families whose authors' layouts are written. IV-VAE's authors load a PyTorch file."""


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
