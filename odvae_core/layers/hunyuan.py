"""HunyuanVideo's layers that halve and double, with repeated borders and a single first frame."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .conv import CausalConv3d
from .reach import DOUBLES, Reach
from .stream import StreamState


class HunyuanDown2x(nn.Module):
    """Halve height and width, and with `time` the frames, by a causal convolution.

    [B, C, 1 + 2n, 2H, 2W] -> [B, C, 1 + n, H, W]. Published as `DownsampleCausal3D`.
    """

    reach = Reach(1, 0, down=2)

    def __init__(self, channels: int, time: bool):
        super().__init__()
        stride = (2 if time else 1, 2, 2)
        self.conv = CausalConv3d(channels, channels, 3, stride, space="replicate")

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        return self.conv(x, state)


class HunyuanUp2x(nn.Module):
    """Double height and width (nearest), with `time` the frames but the first, then convolve.

    [B, C, 1 + n, H, W] -> [B, C, 1 + 2n, 2H, 2W]. Published as `UpsampleCausal3D`.
    """

    reach = DOUBLES

    def __init__(self, channels: int, time: bool):
        super().__init__()
        self.time = time
        self.growth = 8.0 if time else 4.0
        self.conv = CausalConv3d(channels, channels, 3, space="replicate")

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        if self.time:
            x = torch.repeat_interleave(x, 2, dim=2)
            if state is None or state.is_first_call(self):
                x = x[:, :, 1:]
        return self.conv(x, state, doubled="nearest")
