"""Convolutions over frames and over time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .fast import Doubling, convolve_3d, convolve_doubled, convolve_start
from .reach import conv_reach
from .stream import StreamState, with_past

Edge = Literal["zeros", "replicate"]
"""What lies beyond a border."""


def per_frame(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a picture function [N, C, H, W] -> [N, C', H', W'] to each frame of a clip."""
    frames = function(rearrange(x, "b c t h w -> (b t) c h w"))
    return rearrange(frames, "(b t) c h w -> b c t h w", b=x.shape[0])


class FrameConv2d(nn.Conv2d):
    """A 2D convolution of every frame; zeros around the picture, half a kernel wide by default."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 3,
        stride: int = 1,
        padding: int | None = None,
    ):
        padding = kernel // 2 if padding is None else padding
        super().__init__(in_channels, out_channels, kernel, stride, padding)
        self.growth = max(1.0, out_channels / in_channels)
        self.reach = conv_reach(self)

    def forward(
        self, x: Tensor, state: StreamState | None = None, doubled: Doubling | None = None
    ) -> Tensor:
        """With `doubled`, of `x` with height and width doubled."""
        plain = super().forward
        run = partial(convolve_doubled, self, doubled=doubled, plain=plain) if doubled else plain
        return per_frame(run, x)


class Conv3d(nn.Conv3d):
    """`nn.Conv3d` by `convolve_3d`."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        padding = self.padding
        assert not isinstance(padding, str)
        if self.padding_mode != "zeros":
            around = self._reversed_padding_repeated_twice
            input, padding = F.pad(input, around, mode=self.padding_mode), (0, 0, 0)
        return convolve_3d(input, weight, bias, self.stride, padding)


class CausalConv3d(nn.Module):
    """A causal 3D convolution: the clip's first frame is repeated before the clip.

    `kernel` and `stride` are an int or (time, height, width); `padding` around the picture, of
    zeros or as `space` says, is half a kernel wide by default. The published checkpoints call the
    weight `conv.weight`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int | tuple[int, int, int] = 3,
        stride: int | tuple[int, int, int] = 1,
        padding: int | None = None,
        space: Edge = "zeros",
    ):
        super().__init__()
        if padding is None:
            padding = (kernel if isinstance(kernel, int) else kernel[-1]) // 2
        around = (0, padding, padding)
        mode = space if padding else "zeros"
        self.conv = Conv3d(in_channels, out_channels, kernel, stride, around, padding_mode=mode)
        self.growth = max(1.0, out_channels / in_channels)
        self.reach = conv_reach(self.conv)
        assert self.conv.bias is not None
        nn.init.zeros_(self.conv.bias)

    def forward(
        self, x: Tensor, state: StreamState | None = None, doubled: Doubling | None = None
    ) -> Tensor:
        """With `doubled`, of `x` with height and width doubled."""
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        if kernel > 1 and (state is None or state.recall(self) is None):
            output = convolve_start(self.conv, x, doubled)
            if output is not None:
                if state is not None:
                    past = x.expand(-1, -1, kernel, -1, -1) if x.shape[2] == 1 else x
                    state.remember(self, past[:, :, past.shape[2] - kernel + stride :])
                return output
        if kernel > 1:
            x = with_past(x, self, state, kernel, stride)
        if x.shape[2] < kernel:
            return x[:, :, :0]  # too few frames for an output yet
        return convolve_doubled(self.conv, x, doubled) if doubled else self.conv(x)


def pad_right_and_bottom(x: Tensor) -> Tensor:
    """One column and one row of zeros, as the 2D VAE pads before it halves a picture."""
    return F.pad(x, (0, 1, 0, 1))
