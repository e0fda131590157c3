"""Good checkpoints that the mutators start from: narrow networks of every family."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

import odvae_core as odvae
from odvae_core.config import to_dict
from odvae_core.families.cvvae_config import CVVAE, CVVAE_SD3
from odvae_core.families.ivvae_config import IvvaeConfig
from odvae_core.registry import read_config
from tests.checkpoints import shrink
from tests.golden import read_case

WIDTH = 32


@dataclass(frozen=True)
class Seed:
    """The weights of a narrow network, our metadata of it, and its published config.json.

    `published` is None where its authors published none.
    """

    weights: Mapping[str, Tensor]
    metadata: Mapping[str, str]
    published: Mapping[str, Any] | None


def narrow_cvvae(preset: Any) -> Any:
    """A CV-VAE at width 32, with one block a level."""
    return replace(
        preset, levels=tuple(replace(x, channels=WIDTH) for x in preset.levels), blocks=1
    )


def publish_odvae() -> dict[str, Any]:
    """The config.json of the narrow v1.2, as its authors would write it."""
    fields = read_case("keys_odvae_v120")[0]["config"]
    return {
        **fields,
        "hidden_size": WIDTH,
        "hidden_size_mult": [1, 1, 1, 1],
        "num_res_blocks": 1,
        "_class_name": "CausalVAEModel",
    }


def publish_cvvae() -> dict[str, Any]:
    """The config.json of the narrow CV-VAE, as its authors would write it."""
    fields = read_case("keys_cvvae_vae3d")[0]["config"]
    return {**fields, "ch": WIDTH, "ch_mult": [1, 1, 1, 1], "num_res_blocks": 1}


CONFIGS = {
    "odvae-v1.0": lambda: shrink("odvae-v1.0"),
    "odvae-v1.1": lambda: shrink("odvae-v1.1"),
    "odvae-v1.2": lambda: shrink("odvae-v1.2"),
    "odvae-stream": lambda: shrink("odvae-stream"),
    "cvvae": lambda: narrow_cvvae(CVVAE),
    "cvvae-sd3": lambda: narrow_cvvae(CVVAE_SD3),
    "ivvae": lambda: IvvaeConfig(4, 8, blocks=1),
    "sd-vae": lambda: shrink("sd-vae"),
}
PUBLISHED = {"odvae-v1.2": publish_odvae, "cvvae": publish_cvvae}


@cache
def read_seed(name: str) -> Seed:
    """The seed of this name; its weights are shared, so never change them in place."""
    torch.manual_seed(0)
    config = read_config(CONFIGS[name]())
    vae = odvae.build(config).requires_grad_(False)
    fields = {"family": vae.family, "config": json.dumps(to_dict(config)), "version": "0"}
    published = PUBLISHED[name]() if name in PUBLISHED else None
    return Seed(vae.state_dict(), {"format": "1", **fields}, published)


def write_bare(weights: Mapping[str, Tensor], folder: Path) -> Path:
    """Weights as safetensors without metadata."""
    path = folder / "vae.safetensors"
    save_file({key: value.contiguous().clone() for key, value in weights.items()}, path)
    return path


def write_ours(weights: Mapping[str, Tensor], metadata: Mapping[str, str], folder: Path) -> Path:
    """Weights as safetensors with a configuration in the metadata."""
    path = folder / "vae.safetensors"
    save_file({k: v.contiguous().clone() for k, v in weights.items()}, path, dict(metadata))
    return path
