"""The time of schedules by the length of their pieces: the table in `odvae_core/planning/cost.py`.

    python -m benchmarks.cuts [--frames 49] [--size 192x320] [--preset default --preset ...]

CPU seconds (user and system) of one thread, in float32, one process for each row, the least of
three passes, divided by those of the whole clip.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys

import torch

import odvae_core as odvae
from benchmarks.narrow import build_narrow
from train.environment import ROOT, describe_environment

SCHEDULES = {
    "Whole()": odvae.Whole(),
    **{f"Stream({n})": odvae.Stream(n) for n in (5, 9, 17, 33)},
    **{f"Sweep({n})": odvae.Sweep(n) for n in (5, 9, 17, 33)},
    **{f"Windows({n})": odvae.Windows(n) for n in (5, 9, 17, 33)},
}


def build_model(preset: str) -> odvae.VideoVAE:
    """The embedded model, or a preset at a quarter of its width with random weights."""
    if preset == "default":
        return odvae.load("default")
    torch.manual_seed(0)
    return build_narrow(preset).eval().requires_grad_(False)


def measure_passes(arguments: argparse.Namespace) -> list[float]:
    """CPU seconds of encoding and of decoding."""
    torch.set_num_threads(1)
    vae, schedule = build_model(arguments.preset[0]), SCHEDULES[arguments.schedule]
    height, width = (int(side) for side in arguments.size.split("x"))
    video = torch.rand(1, 3, arguments.frames, height, width) * 2 - 1
    with torch.inference_mode():
        encode = least_seconds(lambda: vae.encode(video, schedule))
        latent = vae.encode(video, odvae.Windows(9)).mode()
        return [encode, least_seconds(lambda: vae.decode(latent, schedule))]


def least_seconds(work) -> float:
    """The least user and system time of three calls."""
    seconds = []
    for _ in range(3):
        before = os.times()
        work()
        after = os.times()
        seconds.append(after.user - before.user + after.system - before.system)
    return min(seconds)


def measure_in_child(arguments: argparse.Namespace, preset: str, name: str) -> list[float] | None:
    words = [sys.executable, "-m", "benchmarks.cuts", "--preset", preset, "--schedule", name]
    words += ["--frames", str(arguments.frames), "--size", arguments.size]
    run = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    return json.loads(run.stdout.splitlines()[-1]) if run.returncode == 0 else None


def print_table(arguments: argparse.Namespace) -> None:
    presets = arguments.preset or ["default", "odvae-v1.2", "ivvae-z4"]
    print(f"{arguments.frames} frames of {arguments.size}, times those of the whole clip\n")
    print(f"| encode, decode | {' | '.join(presets)} |\n|---|{'---|' * len(presets)}")
    whole = [measure_in_child(arguments, preset, "Whole()") for preset in presets]
    for name in SCHEDULES:
        cells = []
        for preset, base in zip(presets, whole, strict=True):
            found = measure_in_child(arguments, preset, name)
            ratios = found and [f"{a / b:.2f}" for a, b in zip(found, base or [1, 1], strict=True)]
            cells.append(", ".join(ratios) if ratios else "refused")
        print(f"| `{name}` | {' | '.join(cells)} |", flush=True)
    print(f"\n{describe_environment()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=49)
    parser.add_argument("--size", default="192x320", help="height x width, in pixels")
    parser.add_argument("--preset", action="append")
    parser.add_argument("--schedule", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.schedule:
        print(json.dumps(measure_passes(arguments)))
    else:
        print_table(arguments)


if __name__ == "__main__":
    main()
