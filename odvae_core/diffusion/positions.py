"""Positions and timesteps as sines and cosines."""

from __future__ import annotations

import math

import torch
from torch import Tensor

BASE = 10_000.0
"""The largest wavelength divided by 2 pi (Vaswani et al., 2017)."""

TIME_CHANNELS = 256
"""Channels of a timestep's features (PixArt-alpha, DiT)."""


def sinusoids(positions: Tensor, width: int) -> Tensor:
    """[M] -> [M, width] in float64: the sines of all frequencies, then the cosines."""
    frequencies = BASE ** -(torch.arange(width // 2, dtype=torch.float64) / (width / 2))
    angles = torch.outer(positions.double(), frequencies)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def grid_sinusoids(width: int, rows: Tensor, columns: Tensor) -> Tensor:
    """Positions of rows [h] and columns [w] -> [h * w, width], row by row.

    The first half of the channels is of the column, the second of the row.
    """
    of_columns = sinusoids(columns, width // 2).expand(len(rows), -1, -1)
    of_rows = sinusoids(rows, width // 2)[:, None].expand(-1, len(columns), -1)
    return torch.cat([of_columns, of_rows], dim=2).flatten(0, 1)


def stretch(count: int, trained: int, scale: float) -> Tensor:
    """`count` positions stretched onto the range in training, [0, trained / scale)."""
    return torch.arange(count) / (count / trained) / scale


def time_features(timestep: Tensor) -> Tensor:
    """Timesteps [B], which may be fractions, -> [B, 256] in float32: cosines, then sines."""
    half = TIME_CHANNELS // 2
    steps = torch.arange(half, dtype=torch.float32, device=timestep.device)
    angles = timestep.float()[:, None] * torch.exp(-math.log(BASE) * steps / half)
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def rotary_table(
    size: tuple[int, int, int], head_dim: int, scales: tuple[float, ...], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Cosines and sines of RoPE for (T, h, w) tokens: [T * h * w, 3, head_dim / 6], in float32.

    A third of a head's channels is for each of the axes time, row and column; position / scale is
    the angle of the first pair. Angles in half precision, as published, would be off by up to half
    a position.
    """
    channels = head_dim // 3
    exponents = torch.arange(0, channels, 2, dtype=torch.float32, device=device) / channels
    angles = []
    for axis, scale in enumerate(scales):
        positions = torch.arange(size[axis], dtype=torch.float32, device=device) / scale
        shape = [1, 1, 1, -1]
        shape[axis] = size[axis]
        angles.append(torch.outer(positions, BASE**-exponents).view(shape).expand(*size, -1))
    table = torch.stack(angles, dim=3).flatten(0, 2)
    return table.cos(), table.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the channels of x [..., tokens, head_dim] by `rotary_table`.

    Within each third, channel j is paired with channel j of the other half.
    """
    first, second = x.unflatten(-1, (3, 2, -1)).unbind(-2)
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    rotated = first * cos - second * sin, second * cos + first * sin
    return torch.stack(rotated, dim=-2).flatten(-3)
