"""The time of PyTorch's conv3d on the CPU, compared with ours.

    python -m benchmarks.conv3d

One small clip in float32, of a schedule's size; both in one process, alternating, the best of five.
"""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn

from odvae_core.layers.conv import Conv3d
from train.environment import describe_environment

SHAPES = ((32, 10, 64), (64, 10, 32), (128, 6, 16))
"""Channels, frames, and height = width."""


def time_call(layer: nn.Module, clip: Tensor) -> float:
    start = time.perf_counter()
    layer(clip)
    return time.perf_counter() - start


def main() -> None:
    print("| channels x frames x side | nn.Conv3d, ms | Conv3d, ms | ratio |\n|---|---|---|---|")
    for channels, frames, side in SHAPES:
        theirs = nn.Conv3d(channels, channels, 3, padding=(0, 1, 1))
        ours = Conv3d(channels, channels, 3, padding=(0, 1, 1))
        clip = torch.rand(1, channels, frames, side, side)
        with torch.inference_mode():
            rounds = [(time_call(theirs, clip), time_call(ours, clip)) for _ in range(6)][1:]
        slow, fast = (min(times) for times in zip(*rounds, strict=True))
        print(
            f"| {channels} x {frames} x {side} | {1e3 * slow:.1f} | {1e3 * fast:.1f} "
            f"| {slow / fast:.1f} |"
        )
    print(f"\n{describe_environment()}")


if __name__ == "__main__":
    main()
