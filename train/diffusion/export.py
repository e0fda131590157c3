"""`python -m train.diffusion.export RUN FILE`: write a run's averaged weights in half precision.

FILE is a safetensors file with its configuration, the names of its classes and the VAE of its
latents in the metadata, for `odvae_core.diffusion.load`. The run may still be training.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from odvae_core import CheckpointError, diffusion
from odvae_core.checkpoint.write import RESERVED

DTYPES = {name: getattr(torch, name) for name in ("float16", "bfloat16", "float32")}


def export_run(run: Path, file: Path, dtype: str, title: str) -> None:
    """Write the weights of RUN/ema.safetensors with its metadata and a title.

    Raises CheckpointError where the run has no such file, or FILE can't be written.
    """
    network = diffusion.load(run / "ema.safetensors")
    assert network.provenance is not None
    kept = {k: v for k, v in network.provenance.metadata.items() if k not in RESERVED}
    kept |= {"title": title} if title else {}
    diffusion.save(network, file, DTYPES[dtype], **kept)


def main(arguments: list[str]) -> int:
    """Export as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m train.diffusion.export", description=__doc__)
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a run")
    parser.add_argument("file", type=Path, metavar="FILE", help="the file to write: .safetensors")
    parser.add_argument("--dtype", choices=DTYPES, default="float16")
    parser.add_argument("--title", default="", help="what the model is, for its metadata")
    options = parser.parse_args(arguments)
    try:
        export_run(options.run, options.file, options.dtype, options.title)
    except CheckpointError as error:
        print(f"train.diffusion.export: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
