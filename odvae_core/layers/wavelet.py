"""Haar transforms of frames and of clips (WF-VAE, section 3.1); fixed, so without weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .stream import StreamState, with_past

FACTORS = {False: 0.5, True: 0.3536}
"""Of the transform in space, and in space and time, as published: 0.3536 isn't quite 8 ** -0.5."""

ORDERS = {False: (3, 4), True: (4, 3, 2)}
"""The axes from the least to the most significant bit of a band's number, as published."""


class HaarDown2x(nn.Module):
    """The low and the high band of each halved axis, one behind the other on the channels.

    [B, C, T, 2H, 2W] -> [B, 4C, T, H, W]; with `time` [B, C, 1 + 2n, 2H, 2W] ->
    [B, 8C, 1 + n, H, W], the first frame repeated once before the clip. The first C channels are
    low in every axis. An odd last row or column is dropped. Published as `HaarWaveletTransform2D`
    and `HaarWaveletTransform3D`.
    """

    def __init__(self, time: bool):
        super().__init__()
        self.time = time

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        if self.time:
            x = with_past(x, self, state, kernel=2, stride=2)
        for axis in ORDERS[self.time]:
            pairs = x.narrow(axis, 0, x.shape[axis] // 2 * 2).unflatten(axis, (-1, 2))
            first, second = pairs.unbind(axis + 1)
            x = torch.cat([first + second, first - second], dim=1)
        return x * FACTORS[self.time]


class HaarUp2x(nn.Module):
    """The inverse of `HaarDown2x`; in time the clip's first frame is dropped.

    Published as `InverseHaarWaveletTransform2D` and `InverseHaarWaveletTransform3D`.
    """

    growth = 2.0

    def __init__(self, time: bool):
        super().__init__()
        self.time = time

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        for axis in reversed(ORDERS[self.time]):
            low, high = x.chunk(2, dim=1)
            x = torch.stack([low + high, low - high], dim=axis + 1).flatten(axis, axis + 1)
        begins = self.time and (state is None or state.is_first_call(self))
        return (x[:, :, 1:] if begins else x) * FACTORS[self.time]
