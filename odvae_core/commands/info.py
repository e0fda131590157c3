"""`odvae info`: describes a checkpoint."""

import dataclasses
from argparse import Namespace
from pathlib import Path

from ..checkpoint import load, read_tensors
from ..checkpoint.location import locate
from ..config import to_dict
from ..files.tensorfile import hash_file
from ..formats import name_unsupported, strip_owner
from .output import Result


def run_info(options: Namespace) -> Result:
    """Describe the VAE. A supported VAE is also loaded, which proves that the file is complete."""
    return describe_unsupported(options.checkpoint) or describe_loaded_vae(options.checkpoint)


def describe_unsupported(checkpoint: str | Path) -> Result | None:
    """The name and size of an unsupported VAE; None if the file isn't one."""
    tensors = strip_owner(read_tensors(checkpoint)[0])
    name = name_unsupported(tensors)
    if name is None:
        return None
    file = locate(checkpoint).weights
    facts = {
        "file": file.name,
        "sha256": hash_file(file),
        "model": f"{name} VAE, which this package doesn't support",
        "parameters": sum(tensor.numel() for tensor in tensors.values()),
    }
    return Result(facts, [f"{key}: {value}" for key, value in facts.items()])


def describe_loaded_vae(checkpoint: str | Path) -> Result:
    """Provenance and latent format of a VAE that can be loaded."""
    vae = load(checkpoint, images=True)
    latent = {
        "latent_channels": vae.latent_channels,
        "temporal_compression": vae.temporal_compression,
        "spatial_compression": vae.spatial_compression,
        "latent_scale": vae.latent_scale,
        "latent_shift": vae.latent_shift,
    }
    assert vae.provenance is not None
    passes = {"encoder": vae.encoder_pass(), "decoder": vae.decoder_pass()}
    exact = {f"{name}_streams_exactly": coder.streams_exactly for name, coder in passes.items()}
    facts = {**dataclasses.asdict(vae.provenance), **latent, **exact, "config": to_dict(vae.config)}
    shown = {**latent, **exact}
    lines = [f"{name.replace('_', ' ')}: {value}" for name, value in shown.items()]
    return Result(facts, [*vae.provenance.describe().splitlines(), *lines])
