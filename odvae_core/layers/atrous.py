"""Parallel dilated convolutions: the large receptive field of IV-VAE's encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .conv import per_frame
from .stream import StreamState
from .submodule import add_submodule

DILATIONS = (0, 1, 3, 6, 9, 12)
"""Of the parallel 3x3 convolutions; 0 stands for a 1x1 one."""


class AtrousConvs(nn.Module):
    """Six 2D convolutions of the same features, and a 1x1 one that mixes them. Published as `PAC`.

    `branches` is the number of parts, of keyframes and of motion, that the channels have.
    """

    def __init__(self, in_channels: int, out_channels: int, branches: int = 2):
        super().__init__()
        self.branches = branches
        for dilation in DILATIONS:
            kernel = 3 if dilation else 1
            conv = nn.Conv2d(
                in_channels, out_channels, kernel, padding=dilation, dilation=max(1, dilation)
            )
            add_submodule(self, f"PAC_{dilation}.conv", conv)
        mixed = len(DILATIONS) * out_channels
        add_submodule(self, "PAC_conv.conv", nn.Conv2d(mixed, out_channels, 1))
        self.growth = max(1.0, mixed / in_channels)

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        return per_frame(self._mix, x)

    def _mix(self, x: Tensor) -> Tensor:
        outputs = [self.get_submodule(f"PAC_{dilation}.conv")(x) for dilation in DILATIONS]
        branches = zip(*(output.chunk(self.branches, dim=1) for output in outputs), strict=True)
        parts = [part for branch in branches for part in branch]  # first all the keyframes'
        return self.get_submodule("PAC_conv.conv")(torch.cat(parts, dim=1))
