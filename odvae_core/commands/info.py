"""`odvae info`: what a checkpoint is."""

import dataclasses
from argparse import Namespace

from ..checkpoint import load
from ..config import to_dict
from .result import Result


def run(options: Namespace) -> Result:
    """Load the checkpoint, which proves that it is whole, and tell where it came from."""
    vae = load(options.checkpoint)
    latent = {
        "latent_channels": vae.latent_channels,
        "temporal_compression": vae.temporal_compression,
        "spatial_compression": vae.spatial_compression,
        "latent_scale": vae.latent_scale,
        "latent_shift": vae.latent_shift,
    }
    ways = {"encoder": vae.encoding(), "decoder": vae.decoding()}
    exact = {f"{name}_streams_exactly": way.streams_exactly for name, way in ways.items()}
    facts = {**dataclasses.asdict(vae.provenance), **latent, **exact, "config": to_dict(vae.config)}
    shown = {**latent, **exact}
    lines = [f"{name.replace('_', ' ')}: {value}" for name, value in shown.items()]
    return Result(facts, [*vae.provenance.describe().splitlines(), *lines])
