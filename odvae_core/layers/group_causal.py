"""IV-VAE's group causal convolution: it looks ahead within a group of frames only."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .conv import Conv3d
from .fast import convolve_still, is_fast
from .reach import conv_reach
from .stream import StreamState


class GroupCausalConv3d(Conv3d):
    """A 3D convolution over groups of `group` frames behind the clip's first. Kernels of 1 or 3.

    Left of a group lies the last frame of the one before, right of it zeros; the first frame has
    itself on its left. Published as `Group_Causal_Conv3d`. A clip's groups are convolved as one
    batch. In a stream the frames of an unfinished group are withheld.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 3, group: int = 4):
        around = (0, kernel // 2, kernel // 2)
        super().__init__(in_channels, out_channels, kernel, padding=around)
        self.group = group
        self.reach = conv_reach(self)
        self.growth = 1.0 if kernel == 1 else max(1 + 2 / group, out_channels / in_channels)

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        if self.kernel_size[0] == 1:
            return super().forward(x)
        return self.over_groups(*with_groups(x, self, state, self.group))

    def over_groups(self, frames: Tensor, is_first_call: bool) -> Tensor:
        """Convolve what `with_groups` gave: one frame and whole groups behind it."""
        outputs = []
        if is_first_call:
            outputs.append(self._convolve_first(frames[:, :, :1]))
        if frames.shape[2] > 1:
            windows = frames.unfold(2, self.group + 1, self.group)
            groups = self._convolve(rearrange(windows, "b c n h w t -> (b n) c t h w"))
            outputs.append(rearrange(groups, "(b n) c t h w -> b c (n t) h w", b=frames.shape[0]))
        return torch.cat(outputs, dim=2) if outputs else frames[:, :, :0]

    def _convolve_first(self, frame: Tensor) -> Tensor:
        if is_fast(frame, self.weight):
            return convolve_still(self, frame, slice(0, 2))
        return self._convolve(frame.expand(-1, -1, 2, -1, -1))

    def _convolve(self, windows: Tensor) -> Tensor:
        return super().forward(F.pad(windows, (0, 0, 0, 0, 0, 1)))


def with_groups(
    x: Tensor, layer: nn.Module, state: StreamState | None, group: int
) -> tuple[Tensor, bool]:
    """The whole groups of frames that are there, behind the frame before them.

    [B, C, T, H, W] -> [B, C, 1 + n group, H, W], and whether that one frame is the clip's first. If
    not, it is the last of the group before, and not new.
    """
    is_first_call = state is None or state.is_first_call(layer)
    if state is not None and not is_first_call:
        x = torch.cat([state.recall(layer), x], dim=2)  # pyright: ignore[reportArgumentType]
    whole = 1 + (x.shape[2] - 1) // group * group
    if state is not None:
        state.remember(layer, x[:, :, whole - 1 :])
    assert state is not None or whole == x.shape[2], (x.shape[2], group)
    return x[:, :, :whole], is_first_call
