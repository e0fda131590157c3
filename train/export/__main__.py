"""`python -m train.export RUN FILE`: write a run's weights and a model card.

FILE is a safetensors file with its configuration in the metadata, for Load OD-VAE and
`odvae_core.load`; the card is beside it, in Markdown. The run may still be training.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import torch

import odvae_core
from odvae_core.files.atomic import replacing

from .model_card import ExportedFile, write_card
from .normalise import normalise_latents
from .rescale import rescale_activations
from .trained_run import TrainedRun, load_trained

DTYPES = {name: getattr(torch, name) for name in ("float16", "bfloat16", "float32")}


def export_run(
    run: Path,
    file: Path,
    *,
    weights: str = "ema",
    dtype: str = "float16",
    normalise: bool = False,
    title: str = "",
    data: str = "",
) -> None:
    """Write RUN's "ema" or "raw" weights, and the card, which has `title` and `data`.

    `normalise` gives the latents mean 0 and deviation 1, from the statistics of the last
    evaluation. Activations are rescaled to the range of float16; no result changes. Raises
    ValueError and OSError where the run has no such weights or statistics.
    """
    trained = load_trained(run, weights)
    if normalise:
        trained = replace(trained, vae=normalise_latents(trained.vae, *trained.spread))
    trained = replace(trained, vae=rescale_activations(trained.vae))
    preset = trained.start["config"]["model"]["preset"]
    title = title or f"{preset}, trained for {trained.step} steps"
    data = data or "The data of the configuration below; its sources were not described."
    facts = {"title": title, "data": data, **summarise_training(trained)}
    odvae_core.save(trained.vae, file, DTYPES[dtype], **facts)
    card = write_card(ExportedFile(file, dtype, title, data, trained, normalise))
    with replacing(file.with_suffix(".md")) as temporary:
        temporary.write_bytes(card.encode())


def summarise_training(trained: TrainedRun) -> dict[str, str]:
    """The metadata of a file: configuration, commit, steps, weights and PSNR of the run."""
    facts = {
        "training": json.dumps(trained.start["config"]),
        "training_commit": trained.start["commit"],
        "training_steps": str(trained.step),
        "weights": trained.weights,
    }
    psnr = (trained.evaluation or {}).get("psnr")
    if psnr is not None:
        facts["held_out_psnr"] = f"{psnr:.2f}"
    return facts


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m train.export", description=__doc__)
    parser.add_argument("run", type=Path, help="the run's folder")
    parser.add_argument("file", type=Path, help="the safetensors file to write")
    parser.add_argument(
        "--weights",
        choices=("ema", "raw"),
        default="ema",
        help="the moving average at the last evaluation, or the newest checkpoint's own weights",
    )
    parser.add_argument("--dtype", choices=tuple(DTYPES), default="float16")
    parser.add_argument(
        "--normalise",
        action="store_true",
        help="fold a normalisation of the latents into the weights: mean 0 and deviation 1 per "
        "channel, scale 1, the same reconstructions",
    )
    parser.add_argument("--title", default="", help="one sentence: what this model is")
    parser.add_argument("--data", default="", help="the training data: sources and their licences")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Export; errors are printed in one line."""
    try:
        export_run(**vars(parse_arguments(arguments)))
    except (ValueError, OSError) as error:
        print(f"train.export: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
