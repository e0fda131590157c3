"""Convolutions over frames and over time."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .stream import StreamState, with_past


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

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        return per_frame(super().forward, x)


class Conv3d(nn.Conv3d):
    """`nn.Conv3d` with oneDNN's kernel on the CPU, also for small inputs.

    For a single small float32 clip PyTorch chooses a kernel that unfolds the input, at many times
    the time and memory (benchmarks/conv3d.py). For kernels of size 1 that kernel is faster.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.kernel_size == (1, 1, 1) or not suits_onednn(input):
            return super()._conv_forward(input, weight, bias)
        padding = self.padding
        assert not isinstance(padding, str)
        if self.padding_mode != "zeros":
            around = self._reversed_padding_repeated_twice
            input, padding = F.pad(input, around, mode=self.padding_mode), (0, 0, 0)
        return torch.mkldnn_convolution(
            input, weight, bias, padding, self.stride, self.dilation, self.groups
        )


def suits_onednn(x: Tensor) -> bool:
    """Whether oneDNN's kernel can be called directly: float32 values on the CPU, no autocast.

    Compilation, export and tensor subclasses such as fake tensors keep PyTorch's own operator.
    """
    return (
        not torch.compiler.is_compiling()
        and type(x) in (Tensor, nn.Parameter)
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and torch.backends.mkldnn.is_available()
        and not torch.is_autocast_enabled("cpu")
    )


class CausalConv3d(nn.Module):
    """A causal 3D convolution: the clip's first frame is repeated before the clip.

    `kernel` and `stride` are an int or (time, height, width); `padding` is of zeros around the
    picture, half a kernel wide by default. The published checkpoints call the weight `conv.weight`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int | tuple[int, int, int] = 3,
        stride: int | tuple[int, int, int] = 1,
        padding: int | None = None,
    ):
        super().__init__()
        if padding is None:
            padding = (kernel if isinstance(kernel, int) else kernel[-1]) // 2
        self.conv = Conv3d(in_channels, out_channels, kernel, stride, (0, padding, padding))
        self.growth = max(1.0, out_channels / in_channels)
        assert self.conv.bias is not None
        nn.init.zeros_(self.conv.bias)

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        if kernel > 1:
            x = with_past(x, self, state, kernel, stride)
        if x.shape[2] < kernel:
            return x[:, :, :0]  # too few frames for an output yet
        return self.conv(x)


def pad_right_and_bottom(x: Tensor) -> Tensor:
    """One column and one row of zeros, as the 2D VAE pads before it halves a picture."""
    return F.pad(x, (0, 1, 0, 1))
