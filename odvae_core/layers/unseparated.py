"""IV-VAE's layers where one branch has all channels, or its convolutions are causal: its ablation.

Attributes are spelled as in `separated.py`.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn

from .centred import ClipConv3d
from .conv import FrameConv2d
from .group_causal import with_groups
from .separated import SeparatedDown2x, SeparatedUp2x
from .stream import StreamState


class SeparatedCausalConv3d(nn.Module):
    """A 2D convolution for the keyframes' half and a causal one for the motion's, of all channels.

    `SeparatedConv3d` without groups: the 3D kernel covers the frame and the two before it.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 3):
        super().__init__()
        self.conv_2d = FrameConv2d(in_channels, out_channels // 2, kernel)
        self.conv_3d = ClipConv3d(in_channels, out_channels // 2, kernel)
        self.growth = max(1.0, out_channels / in_channels)
        self.reach = self.conv_2d.reach

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        return torch.cat([self.conv_2d(x), self.conv_3d(x, state)], dim=1)


class UnseparatedDown2x(SeparatedDown2x):
    """Halve height and width by one 2D convolution of all channels, then time by another.

    [B, C, 1 + 2n, 2H, 2W] -> [B, C, 1 + n, H, W]: behind the clip's first frame, the pairs of
    frames are convolved.
    """

    def __init__(self, channels: int):
        super().__init__(channels, time=True, branches=1)

    def _halve_time(self, h: Tensor, state: StreamState | None) -> Tensor:
        assert self.time_conv is not None
        frames, is_first_call = with_groups(h, self, state, 2)
        first, pairs = frames[:, :, : int(is_first_call)], frames[:, :, 1:]
        return torch.cat([first, self.time_conv(pairs)], dim=2) if pairs.shape[2] else first


class UnseparatedUp2x(SeparatedUp2x):
    """Double time by one convolution of all channels, then height and width by another.

    [B, 2C, 1 + n, H, W] -> [B, C, 1 + 2n, 2H, 2W]: the clip's first frame stays one.
    """

    def __init__(self, channels: int):
        super().__init__(channels, time=True, branches=1)

    def _double_time(self, x: Tensor, state: StreamState | None) -> Tensor:
        assert self.time_conv is not None
        is_first_call = state is None or state.is_first_call(self)
        first, rest = x[:, :, : int(is_first_call)], x[:, :, int(is_first_call) :]
        if not rest.shape[2]:
            return first
        doubled = rearrange(self.time_conv(rest), "b (n c) t h w -> b c (t n) h w", n=2)
        return torch.cat([first, doubled], dim=2)
