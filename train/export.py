"""`python -m train.export RUN FILE`: a run's weights as the file that ships, with its model card.

FILE is safetensors that explain themselves, for Load OD-VAE and `odvae_core.load`; the card lies
beside it, in Markdown. Works while the run goes on.
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

from .model_card import Export, write_card
from .normalise import normalise_latents
from .rescale import rescale_activations
from .trained import Trained, load_trained

DTYPES = {name: getattr(torch, name) for name in ("float16", "bfloat16", "float32")}


def export(
    run: Path,
    file: Path,
    *,
    weights: str = "ema",
    dtype: str = "float16",
    normalise: bool = False,
    title: str = "",
    data: str = "",
) -> None:
    """Write RUN's "ema" or "raw" weights, and the card, which says `title` and `data`.

    `normalise` moves the latents to mean 0 and deviation 1, as the last evaluation measured them.
    Activations are rescaled so that float16 holds them; no result changes. Raises ValueError and
    OSError where the run doesn't have what is asked for.
    """
    trained = load_trained(run, weights)
    if normalise:
        trained = replace(trained, vae=normalise_latents(trained.vae, *trained.spread))
    trained = replace(trained, vae=rescale_activations(trained.vae))
    preset = trained.start["config"]["model"]["preset"]
    title = title or f"{preset}, trained for {trained.step} steps"
    data = data or "What the configuration names; its sources were not described."
    facts = {"title": title, "data": data, **summarise(trained)}
    odvae_core.save(trained.vae, file, DTYPES[dtype], **facts)
    card = write_card(Export(file, dtype, title, data, trained, normalise))
    with replacing(file.with_suffix(".md")) as aside:
        aside.write_bytes(card.encode())


def summarise(trained: Trained) -> dict[str, str]:
    """What the metadata say of a run: configuration, commit, weights, and what was measured."""
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


def parse(arguments: list[str]) -> argparse.Namespace:
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
        help="fold a change of latents into the weights: mean 0 and deviation 1 per channel, scale "
        "1, the same reconstructions",
    )
    parser.add_argument("--title", default="", help="one sentence: what this model is")
    parser.add_argument(
        "--data", default="", help="what it was trained on: sources and their terms"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Export; an error is one line."""
    try:
        export(**vars(parse(arguments)))
    except (ValueError, OSError) as error:
        print(f"train.export: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
