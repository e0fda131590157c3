"""Chunks of a clip: consecutive frames with their times, and pixels as bytes and in [-1, 1]."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Chunk:
    """Consecutive frames: video float32 [1, 3, T, H, W] in [-1, 1], and the seconds of each."""

    video: Tensor
    times: list[Fraction]


class ChunkRecorder:
    """Yields the videos of a clip's chunks and records the frames' times and the picture size.

    `times` holds the seconds of all frames read so far, `picture_size` is (height, width).
    """

    def __init__(self) -> None:
        self.times: list[Fraction] = []
        self.picture_size = (0, 0)

    def record(self, chunks: Iterable[Chunk]) -> Iterator[Tensor]:
        """The video [1, 3, T, H, W] of each chunk."""
        for chunk in chunks:
            self.times += chunk.times
            self.picture_size = (chunk.video.shape[-2], chunk.video.shape[-1])
            yield chunk.video


def take_until(chunks: Iterable[Chunk], end: Fraction | float | None) -> Iterator[Chunk]:
    """The frames before `end` seconds; all frames if it is None. Reads at most one chunk more."""
    for chunk in chunks:
        kept = sum(end is None or time < end for time in chunk.times)
        if kept:
            yield Chunk(chunk.video[:, :, :kept], chunk.times[:kept])
        if kept < len(chunk.times):
            return


def to_bytes(video: Tensor) -> Tensor:
    """[-1, 1] -> uint8, rounded to the nearest level; values outside the range are clamped."""
    return video.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def from_bytes(pixels: Tensor) -> Tensor:
    """uint8 -> float32 in [-1, 1]."""
    return pixels.float().div_(127.5).sub_(1)


def to_video(pictures: list[np.ndarray]) -> Tensor:
    """Pictures of uint8 [H, W, 3] -> float32 [1, 3, T, H, W] in [-1, 1]."""
    return from_bytes(torch.from_numpy(np.stack(pictures)).permute(3, 0, 1, 2)).unsqueeze(0)


def to_pictures(video: Tensor) -> np.ndarray:
    """[1, 3, T, H, W] in [-1, 1] -> uint8 [T, H, W, 3]."""
    return to_bytes(video)[0].permute(1, 2, 3, 0).contiguous().cpu().numpy()
