"""Write the names and shapes of the weights of diffusers' autoencoders: tests/data/vae_keys.json.

`python -m tests.list_vae_keys FILE`, where diffusers is installed. Layers that repeat are written
once: of the keys that differ in numbers alone, and have as many dimensions, the first is kept.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import torch

ARGUMENTS: dict[str, dict[str, Any]] = {
    "AutoencoderKLHunyuanImage": {
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": 64,
        "block_out_channels": (128, 256, 512, 512, 1024, 1024),
        "layers_per_block": 2,
        "spatial_compression_ratio": 32,
        "sample_size": 384,
    },
    "AutoencoderKLWan (2.2)": {
        "base_dim": 160,
        "decoder_base_dim": 256,
        "z_dim": 48,
        "latents_mean": [0.0] * 48,
        "latents_std": [1.0] * 48,
        "is_residual": True,
        "in_channels": 12,
        "out_channels": 12,
        "patch_size": 2,
        "scale_factor_temporal": 4,
        "scale_factor_spatial": 16,
    },
    "AutoencoderKL": {"block_out_channels": (32, 32, 32, 32)},
    "AsymmetricAutoencoderKL": {
        "down_block_out_channels": (32, 32),
        "up_block_out_channels": (32, 64),
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
    },
}
"""What a class is built with, where its defaults don't build one or show one level alone."""

NO_PICTURES = ("RFD4ProteinaAutoencoder", "AutoencoderRAE")
"""Of proteins; and one whose encoder is another package's network."""


def list_classes() -> dict[str, type]:
    """Every autoencoder of the installed diffusers that can be built, by name."""
    from diffusers.models import autoencoders  # pyright: ignore[reportMissingImports]

    classes = inspect.getmembers(autoencoders, inspect.isclass)
    return {name: kind for name, kind in classes if name not in NO_PICTURES}


def list_keys(kind: type, arguments: dict[str, Any]) -> dict[str, list[int]]:
    """The names and shapes of the weights of a class, each that repeats once."""
    with warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("ignore")
        weights = kind(**arguments).state_dict()
    kept: dict[tuple[str, int], tuple[str, list[int]]] = {}
    for key, tensor in weights.items():
        kept.setdefault((re.sub(r"\d+", "0", key), tensor.ndim), (key, list(tensor.shape)))
    return dict(kept.values())


def list_all() -> dict[str, dict[str, list[int]]]:
    """The weights of every class."""
    classes = list_classes()
    rows = {name: ARGUMENTS.get(name, {}) for name in classes} | ARGUMENTS
    found = {}
    for name, arguments in sorted(rows.items()):
        kind = classes.get(name.split()[0])
        if kind is not None:
            found[name] = list_keys(kind, arguments)
    return found


if __name__ == "__main__":
    lines = (f"{json.dumps(name)}: {json.dumps(keys)}" for name, keys in list_all().items())
    Path(sys.argv[1]).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
