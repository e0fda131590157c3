"""The contract of every layer: chunked output, joined, is the whole-clip output."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from odvae_core.layers.stream import StreamState


def draw_cuts(frames: int, count: int = 12) -> Iterator[list[int]]:
    """Ways to cut a clip: fixed ones, then random ones with empty chunks among them."""
    yield [frames]
    yield [1] * frames
    yield [1, frames - 1]
    yield [frames - 1, 1]
    draw = random.Random(0)
    for _ in range(count):
        lengths, left = [], frames
        while left:
            lengths.append(min(left, draw.choice([0, 1, 1, 2, 3, 5])))
            left -= lengths[-1]
        yield lengths


def run_chunks(layer: Callable[..., Tensor], chunks: list[Tensor]) -> list[Tensor]:
    """The layer's outputs for consecutive chunks; empty ones are dropped on both sides."""
    state = StreamState()
    chunks = [chunk for chunk in chunks if chunk.shape[2]]
    outputs = []
    for i, chunk in enumerate(chunks):
        state.last = i == len(chunks) - 1
        outputs.append(layer(chunk, state))
    return [output for output in outputs if output.shape[2]]


def assert_cutting_changes_nothing(layer: Callable[..., Tensor], clip: Tensor) -> None:
    """Hold a layer to the contract, on many cuts of a float64 clip [B, C, T, H, W]."""
    with torch.no_grad():
        whole = layer(clip)
        for lengths in draw_cuts(clip.shape[2]):
            joined = torch.cat(run_chunks(layer, list(clip.split(lengths, dim=2))), dim=2)
            torch.testing.assert_close(joined, whole, rtol=0, atol=1e-10, msg=f"cut {lengths}")


def random_clip(channels: int, frames: int, height: int = 6, width: int = 8) -> Tensor:
    """A reproducible float64 clip of two items."""
    generator = torch.Generator().manual_seed(channels * frames)
    return torch.randn(2, channels, frames, height, width, generator=generator, dtype=torch.float64)
