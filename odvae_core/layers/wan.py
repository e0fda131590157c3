"""Wan's layers that halve and double, in which the clip's first frame skips the layers over time.

Attributes are named as in the published checkpoints: resample.1, time_conv, upsamples.0 ...
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor, nn

from .centred import ClipConv3d
from .coder import add_submodule
from .conv import FrameConv2d, pad_right_and_bottom
from .reach import DOUBLES, HALVES, join_reaches, reach_of
from .stream import StreamState, starts_clip, with_past


class WanDown2x(nn.Module):
    """Halve height and width, then with `time` the frames.

    [B, C, 1 + 2n, 2H, 2W] -> [B, C, 1 + n, H, W]: frame 0 stays, each later one is convolved from
    three. Published as `Resample` in the modes downsample2d and downsample3d.
    """

    growth = 1.3  # a picture is padded before it is halved
    reach = HALVES

    def __init__(self, channels: int, time: bool):
        super().__init__()
        add_submodule(self, "resample.1", FrameConv2d(channels, channels, stride=2, padding=0))
        self.time_conv = None
        if time:
            self.time_conv = ClipConv3d(channels, channels, (3, 1, 1), (2, 1, 1), ends="inside")

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        x = self.get_submodule("resample.1")(pad_right_and_bottom(x))
        if self.time_conv is None:
            return x
        first = x[:, :, : starts_clip(self, state)]
        return torch.cat([first, self.time_conv(x, state)], dim=2)


class WanUp2x(nn.Module):
    """With `time` double the frames, then height and width (nearest), then convolve.

    [B, C, 1 + n, H, W] -> [B, C', 1 + 2n, 2H, 2W]: frame 0 stays, and the convolution over time
    that makes two frames of each later one doesn't see it. Published as `Resample` in the modes
    upsample2d and upsample3d.
    """

    reach = DOUBLES

    def __init__(self, channels: int, out_channels: int, time: bool):
        super().__init__()
        self.growth = 8.0 if time else 4.0
        add_submodule(self, "resample.1", FrameConv2d(channels, out_channels))
        self.time_conv = None
        if time:
            self.time_conv = ClipConv3d(channels, 2 * channels, (3, 1, 1), ends="causal-zeros")

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        if self.time_conv is not None:
            count = starts_clip(self, state)
            first, later = x[:, :, :count], x[:, :, count:]
            if later.shape[2]:
                pairs = self.time_conv(later, state)
                later = rearrange(pairs, "b (n c) t h w -> b c (t n) h w", n=2)
            x = torch.cat([first, later], dim=2)
        return self.get_submodule("resample.1")(x, doubled="nearest")


class MeanDown2x(nn.Module):
    """Halve space, and with `time` the frames, by the means of groups of channels.

    [B, C, 1 + 2n, 2H, 2W] -> [B, C', 1 + n, H, W], a frame of zeros before the first. With `space`
    False only channels change. Published as `AvgDown3D`.
    """

    def __init__(self, out_channels: int, time: bool, space: bool):
        super().__init__()
        self.out_channels, self.times, self.sides = out_channels, 1 + time, 1 + space

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        if self.times == 2:
            x = with_past(x, self, state, kernel=2, stride=2, before="zeros")
            x = x[:, :, : x.shape[2] // 2 * 2]
        p, q = self.times, self.sides
        unfolded = rearrange(x, "b c (t p) (h q) (w r) -> b (c p q r) t h w", p=p, q=q, r=q)
        return unfolded.unflatten(1, (self.out_channels, -1)).mean(dim=2)


class RepeatUp2x(nn.Module):
    """Double space, and with `time` the frames, by channels that are repeated and folded out.

    [B, C, 1 + n, H, W] -> [B, C', 1 + 2n, 2H, 2W]: the clip's first frame of the doubled is
    dropped. Published as `DupUp3D`.
    """

    def __init__(self, in_channels: int, out_channels: int, time: bool):
        super().__init__()
        self.times = 1 + time
        self.repeats = out_channels * self.times * 4 // in_channels

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        repeated = x.repeat_interleave(self.repeats, dim=1)
        layout = "b (c p q r) t h w -> b c (t p) (h q) (w r)"
        doubled = rearrange(repeated, layout, p=self.times, q=2, r=2)
        return doubled[:, :, 1:] if self.times == 2 and starts_clip(self, state) else doubled


class WanStage(nn.Module):
    """The layers of one level, and a second path around all of them. In Wan 2.2.

    `name` is that of the layers in the published checkpoints, `around` the second path, which has
    no weights. Published as `Down_ResidualBlock` and `Up_ResidualBlock`.
    """

    def __init__(
        self, name: str, layers: Sequence[nn.Module], around: nn.Module | None, growth: float
    ):
        super().__init__()
        self.name, self.around, self.growth = name, around, growth
        self.add_module(name, nn.ModuleList(layers))
        self.reach = join_reaches(*map(reach_of, layers))

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        h = x
        for layer in self.get_submodule(self.name).children():
            h = layer(h, state)
        return h if self.around is None else h + self.around(x, state)
