"""Speed and peak memory of the three families on the same clip, at a quarter of their width.

    python -m benchmarks.families [--side 128] [--frames 17]

One process for each row and direction, on the CPU in float32 with random weights, on whose values
speed and memory don't depend. Time is CPU time, which other processes change little; "of the first"
is relative to the first row.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch

import odvae_core as odvae
from benchmarks.narrow import build_narrow
from benchmarks.peak import measure_peak
from train.environment import ROOT, describe_environment

ROWS = (
    ("odvae-v1.2", odvae.Whole()),
    ("odvae-v1.2", odvae.Sweep(5)),
    ("odvae-stream", odvae.Whole()),
    ("odvae-stream", odvae.Stream(5)),
    ("cvvae", odvae.Whole()),
    ("cvvae", odvae.Sweep(5)),
    ("ivvae-z4", odvae.Whole()),
    ("ivvae-z4", odvae.Stream(5)),
)
REPEATS = 3


def measure_pass(row: int, encode: bool, frames: int, side: int) -> tuple[float, int]:
    """Median CPU seconds and peak bytes of one direction of a row."""
    torch.manual_seed(0)
    preset, schedule = ROWS[row]
    vae = build_narrow(preset).eval().requires_grad_(False)
    shape = (1, 3, frames, side, side)
    if not encode:
        shape = (1, vae.latent_channels, 1 + (frames - 1) // 4, side // 8, side // 8)
    clip = torch.rand(shape)

    def run() -> torch.Tensor:
        return vae.encode(clip, schedule).mean if encode else vae.decode(clip, schedule)

    with torch.inference_mode():
        vae.decode(vae.encode(torch.rand(1, 3, 5, 16, 16)).mean)
        _, peak = measure_peak(run)
        return statistics.median(time_once(run) for _ in range(REPEATS)), peak


def time_once(run: Callable[[], torch.Tensor]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def measure_in_child(row: int, direction: str, arguments: argparse.Namespace) -> list:
    words = [sys.executable, "-m", "benchmarks.families", "--row", str(row)]
    words += ["--direction", direction]
    words += ["--frames", str(arguments.frames), "--side", str(arguments.side)]
    run = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


def print_table(arguments: argparse.Namespace) -> None:
    size = f"{arguments.frames} frames of {arguments.side}x{arguments.side}"
    print(f"{size}, a quarter of the presets' width, float32, median of {REPEATS} runs\n")
    cells = [
        f"{coding}, {unit}"
        for coding in ("encode", "decode")
        for unit in ("s", "of the first", "MiB", "of the first")
    ]
    print(f"| preset | schedule | {' | '.join(cells)} |\n|{'---|' * (2 + len(cells))}")
    first: list[list] = []
    for row, (preset, schedule) in enumerate(ROWS):
        passes = [measure_in_child(row, coding, arguments) for coding in ("encode", "decode")]
        first = first or passes
        cells = [
            f"{seconds:.2f} | {seconds / base[0]:.2f} | {peak / 2**20:.0f} | {peak / base[1]:.2f}"
            for (seconds, peak), base in zip(passes, first, strict=True)
        ]
        name = f"{type(schedule).__name__}({getattr(schedule, 'frames', '')})"
        print(f"| `{preset}` | `{name}` | {' | '.join(cells)} |", flush=True)
    print(f"\n{describe_environment()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=17)
    parser.add_argument("--side", type=int, default=128, help="height and width, in pixels")
    parser.add_argument("--row", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--direction", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.row is None:
        print_table(arguments)
        return
    encode = arguments.direction == "encode"
    print(json.dumps(measure_pass(arguments.row, encode, arguments.frames, arguments.side)))


if __name__ == "__main__":
    main()
