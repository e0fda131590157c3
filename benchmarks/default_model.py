"""The embedded default compared with baselines without a network, on crops of held-out clips.

    python -m benchmarks.default_model CLIP... [--sides 144 256 480] [--per-clip 3]
        [--checkpoint default] [--json]

For 1 + 4k frames of H x W every row stores 1 + k frames of H / 8 x W / 8: the embedded default
with 16 channels, the bicubic baselines with 3.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

import odvae_core as odvae
from odvae_core.evaluation import BASELINES, evaluate_crops
from train.config import EvaluationConfig
from train.environment import describe_environment
from train.evaluation import cut_clips


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, nargs="+", metavar="CLIP")
    parser.add_argument("--checkpoint", default="default", help='a file, or "default"')
    parser.add_argument("--sides", type=int, nargs="+", default=[144, 256, 480], help="short sides")
    parser.add_argument("--per-clip", type=int, default=3, help="crops of each clip at each side")
    parser.add_argument("--frames", type=int, default=17)
    parser.add_argument("--size", type=int, default=128, help="of a crop, in pixels")
    parser.add_argument(
        "--stride", type=int, default=2, help="frames of the clip to one of the crop"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    return parser.parse_args()


def evaluate_rows(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The metrics of `evaluate_crops` for every row."""
    protocol = EvaluationConfig(
        tuple(arguments.sides),
        arguments.per_clip,
        arguments.frames,
        arguments.size,
        arguments.stride,
    )
    crops = cut_clips(arguments.clips, protocol)
    rows = {"model": odvae.load(arguments.checkpoint), **BASELINES}
    return {name: evaluate_crops(reconstruct, crops) for name, reconstruct in rows.items()}


def find_gain(rows: dict[str, dict[str, Any]], column: str) -> float:
    """The lead of the model over the better baseline, in dB."""
    return rows["model"][column] - max(rows[name][column] for name in BASELINES)


def print_table(arguments: argparse.Namespace, rows: dict[str, dict[str, Any]]) -> None:
    columns = [*(str(side) for side in arguments.sides), "psnr"]
    print("| PSNR, dB | " + " | ".join([*columns[:-1], "all"]) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for name, values in rows.items():
        print(f"| {name} | " + " | ".join(f"{values[column]:.2f}" for column in columns) + " |")
    gains = " | ".join(f"{find_gain(rows, column):+.2f}" for column in columns)
    print(f"| above the better baseline | {gains} |\n")
    count = len(arguments.clips) * arguments.per_clip * len(arguments.sides)
    size = f"{arguments.frames}x{arguments.size}x{arguments.size}"
    print(
        f"{count} crops of {size} from {len(arguments.clips)} clips, frame stride "
        f"{arguments.stride}, columns by short side in pixels; mean of the frames' "
        "PSNR, rounded to 8 bits, in memory; "
        f"checkpoint {arguments.checkpoint}, posterior mode, Whole(), float32"
    )
    print(describe_environment())


def main() -> None:
    arguments = parse_arguments()
    rows = evaluate_rows(arguments)
    if arguments.json:
        print(json.dumps({"rows": rows, "environment": describe_environment()}, indent=1))
    else:
        print_table(arguments, rows)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
