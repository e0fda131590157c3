"""Causal layers of OPS-VAE: zeros lie before the clip, and pad its first latent frame."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .conv import Conv3d
from .stream import StreamState, with_past


class ZeroCausalConv3d(nn.Module):
    """A causal 3D convolution with zeros before the clip and around the picture.

    With a stride of 2 in time [B, C, 2n, H, W] -> [B, C', n, H, W]: one zero frame lies before the
    clip. Published as `CausalConv3d` with Open-Sora 1.2.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 3,
        time_stride: int = 1,
        bias: bool = True,
    ):
        super().__init__()
        around = (0, kernel // 2, kernel // 2)
        stride = (time_stride, 1, 1)
        self.conv = Conv3d(in_channels, out_channels, kernel, stride, around, bias=bias)
        self.growth = max(1.0, out_channels / in_channels)

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        if kernel > 1:
            x = pad_front(x, kernel - stride, self, state)
            x = with_past(x, self, state, kernel, stride, before="nothing")
        return self.conv(x) if x.shape[2] >= kernel else self.withheld(x)

    def withheld(self, x: Tensor) -> Tensor:
        """Too few frames for an output yet."""
        return x.new_empty(x.shape[0], self.conv.out_channels, 0, *x.shape[3:])


class DepthToTime2x(ZeroCausalConv3d):
    """A convolution whose pairs of channels become pairs of frames.

    [B, C, T, H, W] -> [B, C, 2T, H, W].
    """

    def __init__(self, channels: int):
        super().__init__(channels, 2 * channels)

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        pairs = super().forward(x, state).unflatten(1, (-1, 2))
        return pairs.movedim(2, 3).flatten(2, 3)


class PadFront(nn.Module):
    """Zero frames before the clip."""

    def __init__(self, frames: int):
        super().__init__()
        self.frames = frames

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        return pad_front(x, self.frames, self, state)


class DropFront(nn.Module):
    """The clip without its first frames, which its first chunk must hold."""

    def __init__(self, frames: int):
        super().__init__()
        self.frames = frames

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        begins = state is None or state.is_first_call(self)
        return x[:, :, self.frames :] if begins else x


def pad_front(x: Tensor, frames: int, layer: nn.Module, state: StreamState | None) -> Tensor:
    """Zero frames before the clip's first chunk; a later chunk as it is."""
    begins = state is None or state.is_first_call(layer)
    return F.pad(x, (0, 0, 0, 0, frames, 0)) if begins and frames else x
