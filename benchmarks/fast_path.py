"""CPU seconds of the plain path, divided by those of the fast one (`odvae_core/layers/fast.py`).

    python -m benchmarks.fast_path

One thread, float32, random weights, both in turn in one process, the least of three. Networks are a
quarter as wide as published and run the whole clip; layers have the published width.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

import odvae_core as odvae
from benchmarks.narrow import build_narrow
from odvae_core.layers.conv import CausalConv3d
from odvae_core.layers.fast import plain_path
from odvae_core.layers.resample import JointUp2x, SpaceUp2x, double_time
from train.environment import describe_environment

NETWORKS = ("odvae-v1.2", "cvvae", "ivvae-z4")
CLIPS = ((1, 128), (9, 96))
LAYERS = {
    "CausalConv3d": (CausalConv3d, ((512, 5, 16), (512, 5, 32), (256, 9, 64))),
    "JointUp2x": (JointUp2x, ((512, 5, 16), (512, 5, 32))),
    "SpaceUp2x": (SpaceUp2x, ((512, 3, 16), (256, 5, 32))),
}
"""Layer -> channels, frames, and height = width."""


def compare(plain: Callable[[], object], fast: Callable[[], object]) -> float:
    """The ratio of the least CPU seconds of three calls each."""
    seconds: list[list[float]] = [[], []]
    for _ in range(3):
        for call, measured in zip((plain, fast), seconds, strict=True):
            start = time.process_time()
            call()
            measured.append(time.process_time() - start)
    return min(seconds[0]) / min(seconds[1])


def compare_paths(call: Callable[[], object]) -> float:
    """The ratio of plain to fast path."""

    def run_plain() -> None:
        with plain_path():
            call()

    return compare(run_plain, call)


@torch.inference_mode()
def main() -> None:
    torch.set_num_threads(1)
    print("| network | clip | encode | decode |\n|---|---|---|---|")
    for preset in NETWORKS:
        vae = build_narrow(preset).eval().requires_grad_(False)
        for frames, side in CLIPS:
            video = torch.rand(1, 3, frames, side, side) * 2 - 1
            latent = vae.encode(video).mode()
            encode = compare_paths(lambda v=vae, x=video: v.encode(x, odvae.Whole()))
            decode = compare_paths(lambda v=vae, z=latent: v.decode(z, odvae.Whole()))
            print(
                f"| {preset} | {frames}x{side}x{side} | {encode:.2f} | {decode:.2f} |", flush=True
            )
    print("\n| layer | channels x frames x side | ratio |\n|---|---|---|")
    for name, (make, shapes) in LAYERS.items():
        for channels, frames, side in shapes:
            layer, x = make(channels), torch.rand(1, channels, frames, side, side)
            ratio = compare_paths(lambda run=layer, x=x: run(x))
            print(f"| {name} | {channels} x {frames} x {side} | {ratio:.2f} |", flush=True)
    x = torch.rand(1, 512, 4, 32, 32)
    scale = (2, 1, 1)
    ratio = compare(
        lambda: F.interpolate(x, scale_factor=scale, mode="trilinear"), lambda: double_time(x)
    )
    print(f"| double_time, compared with F.interpolate | 512 x 4 x 32 | {ratio:.2f} |")
    print(f"\n{describe_environment()}")


if __name__ == "__main__":
    main()
