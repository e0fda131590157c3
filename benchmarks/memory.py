"""The memory estimate of the schedule `auto`, compared with the measured peak.

    python -m benchmarks.memory [--side 384] [--width 32] [--frames 13]

One process for each row, on the CPU in float32. With a ratio below 1 `auto` can run out of memory,
with one far above 1 it wastes memory. With tensors below about 40 MB the memory that the allocator
keeps is significant.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import replace

import torch

import odvae_core as odvae
from benchmarks.peak import measure_peak
from odvae_core.planning import Clip, count_need
from odvae_core.registry import read_config
from train.environment import ROOT, describe_environment

PRESET = "odvae-v1.2"
SCHEDULES = {
    "Whole()": odvae.Whole(),
    "Windows(9)": odvae.Windows(9),
    "Stream(5)": odvae.Stream(5),
    "Sweep(5)": odvae.Sweep(5),
}


def measure_pass(arguments: argparse.Namespace) -> tuple[int, int]:
    """The estimated and the measured bytes of one direction."""
    torch.manual_seed(0)
    vae = odvae.build(replace(read_config(PRESET), width=arguments.width))
    vae.eval().requires_grad_(False)
    schedule, encode = SCHEDULES[arguments.schedule], arguments.direction == "encode"
    shape = (1, 3, arguments.frames, arguments.side, arguments.side)
    if not encode:
        shape = (1, 4, 1 + (shape[2] - 1) // 4, shape[3] // 8, shape[4] // 8)
    coder = vae.encoder_pass() if encode else vae.decoder_pass()
    needed = count_need(vae, coder, Clip(shape, torch.device("cpu")), schedule, None)
    clip = torch.rand(shape)
    with torch.inference_mode():
        vae.decode(vae.encode(torch.rand(1, 3, 5, 16, 16)).mean)
        run = (
            (lambda: vae.encode(clip, schedule).mean)
            if encode
            else (lambda: vae.decode(clip, schedule))
        )
        result, peak = measure_peak(run)
    return needed.device + needed.host - needed.given, peak + result.nbytes


def measure_in_child(arguments: argparse.Namespace, name: str, direction: str) -> list:
    words = [sys.executable, "-m", "benchmarks.memory", "--child"]
    words += ["--schedule", name, "--direction", direction, "--side", str(arguments.side)]
    words += ["--width", str(arguments.width), "--frames", str(arguments.frames)]
    run = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(run.stdout.splitlines()[-1])


def print_table(arguments: argparse.Namespace) -> None:
    size = f"{arguments.frames} frames of {arguments.side}x{arguments.side}"
    print(f"{PRESET}, width {arguments.width}, {size}, float32\n")
    print("| direction | schedule | estimate, MiB | measured, MiB | ratio |\n|---|---|---|---|---|")
    for direction in ("encode", "decode"):
        for name in SCHEDULES:
            needed, peak = measure_in_child(arguments, name, direction)
            print(
                f"| {direction} | `{name}` | {needed / 2**20:.0f} "
                f"| {peak / 2**20:.0f} | {needed / peak:.2f} |",
                flush=True,
            )
    print(f"\n{describe_environment()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=13)
    parser.add_argument("--side", type=int, default=384, help="height and width, in pixels")
    parser.add_argument("--width", type=int, default=32, help="of the presets")
    for name in ("--schedule", "--direction"):
        parser.add_argument(name, help=argparse.SUPPRESS)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measure_pass(arguments)))
    else:
        print_table(arguments)


if __name__ == "__main__":
    main()
