"""Layers that halve or double space, time or both.

The class docstrings name the published module.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .conv import CausalConv3d, Conv3d, FrameConv2d, pad_right_and_bottom
from .fast import Doubling
from .reach import DOUBLES, HALVES, ROW, conv_reach
from .stream import StreamState, with_past


class FrameDown2x(nn.Module):
    """Halve height and width by a 2D convolution. Published as `Downsample`."""

    growth = 1.3  # a picture is padded before it is halved
    reach = HALVES

    def __init__(self, channels: int):
        super().__init__()
        self.conv = FrameConv2d(channels, channels, stride=2, padding=0)

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        return self.conv(pad_right_and_bottom(x), state)


class SpaceDown2x(nn.Module):
    """Halve height and width by a one-frame 3D convolution. Published as `SpatialDownsample2x`."""

    growth = 1.3  # a picture is padded before it is halved
    reach = HALVES

    def __init__(self, channels: int):
        super().__init__()
        self.conv = CausalConv3d(channels, channels, (1, 3, 3), stride=(1, 2, 2), padding=0)

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        return self.conv(pad_right_and_bottom(x), state)


class JointDown2x(nn.Module):
    """Halve time, height and width: [B, C, 1 + 2n, 2H, 2W] -> [B, C, 1 + n, H, W].

    Published as `Spatial2xTime2x3DDownsample`.
    """

    growth = 1.3  # a picture is padded before it is halved
    reach = HALVES

    def __init__(self, channels: int):
        super().__init__()
        self.conv = CausalConv3d(channels, channels, 3, stride=2, padding=0)

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        return self.conv(pad_right_and_bottom(x), state)


class AverageTimeDown2x(nn.Module):
    """Halve time: each output frame is the mean of three input frames, the last being its own.

    [B, C, 1 + 2n, H, W] -> [B, C, 1 + n, H, W]; frame 0 is averaged with copies of itself.
    Published as `TimeDownsample2x`.
    """

    reach = ROW

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        window = with_past(x, self, state, kernel=3, stride=2)
        if window.shape[2] < 3:
            return window[:, :, :0]
        return average_frames(window)


class MixedTimeDown2x(nn.Module):
    """Halve time by a learned mixture of the mean and a convolution.

    Published as `TimeDownsampleRes2x`.
    """

    def __init__(self, channels: int, mix_factor: float = 2.0):
        super().__init__()
        self.conv = Conv3d(channels, channels, 3, (2, 1, 1), (0, 1, 1))
        self.reach = conv_reach(self.conv)
        self.mix_factor = nn.Parameter(torch.tensor([mix_factor]))

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        window = with_past(x, self, state, kernel=3, stride=2)
        if window.shape[2] < 3:
            return window[:, :, :0]
        mean = average_frames(window)
        return torch.lerp(self.conv(window), mean, torch.sigmoid(self.mix_factor))


def average_frames(window: Tensor) -> Tensor:
    """The means of three frames, two apart; average pooling lacks float16 on the CPU."""
    return window.unfold(2, 3, 2).mean(dim=-1)


class FrameUp2x(nn.Module):
    """Double height and width: nearest, then a 2D convolution. Published as `Upsample`."""

    growth = 4.0
    reach = DOUBLES

    def __init__(self, channels: int):
        super().__init__()
        self.conv = FrameConv2d(channels, channels)

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        return self.conv(x, state, doubled="nearest")


class SpaceUp2x(nn.Module):
    """Double height and width: nearest, then a one-frame 3D convolution.

    Published as `SpatialUpsample2x`.
    """

    growth = 4.0
    reach = DOUBLES

    def __init__(self, channels: int):
        super().__init__()
        self.conv = CausalConv3d(channels, channels, (1, 3, 3))

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        return self.conv(x, state, doubled="nearest")


class LinearTimeUp2x(nn.Module):
    """Double time by linear interpolation: [B, C, 1 + n, H, W] -> [B, C, 1 + 2n, H, W].

    Frame 0 stays; the others are interpolated among themselves, so every output frame depends on
    half a frame of look-ahead. A stream withholds the frame that isn't determined yet until the
    next chunk, or until `state.last`. Published as `TimeUpsample2x`.
    """

    looks_ahead = True
    growth = 2.0
    reach = ROW

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        past = None if state is None else state.recall(self)
        first, rest = x[:, :, :1], x[:, :, 1:]
        if past is not None:
            first, rest = x[:, :, :0], torch.cat([past, x], dim=2)
        if state is not None:
            state.remember(self, rest[:, :, -1:])
        if not rest.shape[2]:
            return first
        doubled = double_time(rest)
        given = int(past is not None and past.shape[2] > 0)  # half of the remembered frame
        withheld = int(state is not None and not state.last)
        return torch.cat([first, doubled[:, :, given : doubled.shape[2] - withheld]], dim=2)


class MixedTimeUp2x(nn.Module):
    """Double time by a learned mixture of interpolation and a convolution of it.

    Published as `TimeUpsampleRes2x`.
    """

    growth = 2.0

    def __init__(self, channels: int, mix_factor: float = 2.0):
        super().__init__()
        self.double_time = LinearTimeUp2x()
        self.conv = CausalConv3d(channels, channels)
        self.reach = self.conv.reach
        self.mix_factor = nn.Parameter(torch.tensor([mix_factor]))

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        doubled = self.double_time(x, state)
        if not doubled.shape[2]:
            return doubled
        return torch.lerp(self.conv(doubled, state), doubled, torch.sigmoid(self.mix_factor))


class JointUp2x(nn.Module):
    """Double time, height and width, then a causal convolution.

    [B, C, 1 + n, H, W] -> [B, C, 1 + 2n, 2H, 2W]. Linear in time; in space linear as published
    in `Spatial2xTime2x3DUpsample`, or nearest as in the 2D VAE.
    """

    growth = 8.0
    reach = DOUBLES

    def __init__(self, channels: int, space: Doubling = "linear"):
        super().__init__()
        self.space = space
        self.double_time = LinearTimeUp2x()
        self.conv = CausalConv3d(channels, channels)

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        doubled = self.double_time(x, state)
        if not doubled.shape[2]:
            return doubled
        return self.conv(doubled, state, self.space)


def double_time(x: Tensor) -> Tensor:
    """Linear interpolation to 2 T frames, a quarter of a frame from the given ones.

    As `F.interpolate` in "linear" mode, but faster on a CPU (benchmarks/fast_path.py).
    """
    padded = torch.cat([x[:, :, :1], x, x[:, :, -1:]], dim=2)
    earlier, later = (torch.lerp(x, near, 0.25) for near in (padded[:, :, :-2], padded[:, :, 2:]))
    return torch.stack([earlier, later], dim=3).flatten(2, 3)
