"""Clips for the tests, in ComfyUI's form and in the core's."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from odvae_core.video import VideoWriter, read_video

CLOSE = {"atol": 1e-4, "rtol": 1e-4}


def make_frames(frames: int, height: int = 32, width: int = 32, channels: int = 3) -> Tensor:
    """IMAGE [F, H, W, C] of noise, the same every time."""
    generator = torch.Generator().manual_seed(frames)
    return torch.rand(frames, height, width, channels, generator=generator)


def make_latent(frames: int, height: int = 4, width: int = 4, channels: int = 4) -> Tensor:
    """Latent [1, C, T, h, w] of noise, the same every time."""
    generator = torch.Generator().manual_seed(frames)
    return torch.randn(1, channels, frames, height, width, generator=generator)


def to_video(image: Tensor) -> Tensor:
    """IMAGE [F, H, W, C] in [0, 1] -> video [1, 3, F, H, W] in [-1, 1]."""
    return image[..., :3].movedim(-1, 0)[None] * 2 - 1


def to_image(video: Tensor) -> Tensor:
    """Video [B, 3, F, H, W] in [-1, 1] -> IMAGE [B * F, H, W, 3] in [0, 1]."""
    return ((video + 1) / 2).clamp(0, 1).movedim(1, -1).flatten(0, 1)


def assert_holds(path: Path, video: Tensor, folder: Path) -> None:
    """Check that a lossless file equals the output of the core's writer, which halves chroma
    resolution."""
    expected = folder / "expected.mp4"
    with VideoWriter(expected, tuple(video.shape[-2:]), 12, quality=0) as writer:
        writer.write(video)
    levels = 4 / 127.5
    torch.testing.assert_close(read_video(path), read_video(expected), atol=levels, rtol=0)
