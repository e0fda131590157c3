"""IV-VAE's layers: features in two halves, of the keyframes (2D) and of the motion (3D).

With `branches` 1 a layer is the first half alone: one of the 2D VAE that a video VAE starts from.
Attributes are spelled as in the published checkpoints: conv_2d, Attention_2d, time_conv ...
"""

from __future__ import annotations

from functools import partial

import torch
from einops import rearrange
from torch import Tensor, nn

from .attention import PictureAttention
from .coder import add_submodule
from .conv import Conv3d, FrameConv2d, per_frame
from .fast import convolve_doubled
from .group_causal import GroupCausalConv3d, with_groups
from .reach import DOUBLES, HALVES, ROW, Reach
from .resnet import ResnetBlock
from .stream import StreamState


class SeparatedConv3d(nn.Module):
    """A 2D convolution for the keyframes' half, a group causal one for the motion's, both of all
    channels.

    Published as `Sep_Conv3d` and, of a video, `First_Sep_Conv3d`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 3,
        group: int = 4,
        branches: int = 2,
    ):
        super().__init__()
        self.conv_2d = FrameConv2d(in_channels, out_channels // branches, kernel)
        self.reach = self.conv_2d.reach
        self.conv_3d = None
        self.growth = max(1.0, out_channels / in_channels)
        if branches == 2:
            self.conv_3d = GroupCausalConv3d(in_channels, out_channels // 2, kernel, group)
            self.growth = max(self.growth, self.conv_3d.growth)

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        if self.conv_3d is None:
            return self.conv_2d(x)
        if self.conv_3d.kernel_size[0] == 1:
            return torch.cat([self.conv_2d(x), self.conv_3d(x)], dim=1)
        frames, is_first_call = with_groups(x, self, state, self.conv_3d.group)
        new = frames if is_first_call else frames[:, :, 1:]
        if not new.shape[2]:
            return new
        return torch.cat(
            [self.conv_2d(new), self.conv_3d.over_groups(frames, is_first_call)], dim=1
        )


class SharedConv2d(nn.Module):
    """A 2D convolution of both halves at once. Published as `Sep_Conv2d`."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 3):
        super().__init__()
        self.conv = FrameConv2d(in_channels, out_channels, kernel)
        self.reach = self.conv.reach
        self.growth = max(1.0, out_channels / in_channels)

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        return self.conv(x)


class SeparatedBlock(ResnetBlock):
    """The residual block in IV-VAE's names. Published as `Sep_ResidualBlock` (and `..._2d`)."""

    names = ("residual.0", "residual.2", "residual.3", "residual.6", "shortcut")


class SeparatedAttention(nn.Module):
    """Attention within each frame, of each half by itself. Published as `Sep_AttentionBlock`."""

    growth = 3.0

    def __init__(self, channels: int, branches: int = 2):
        super().__init__()
        self.names = ("Attention_2d", "Attention_3d")[:branches]
        for name in self.names:
            self.add_module(name, PictureAttention(channels // branches))

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        return over_branches(self, self.names, x)


class SeparatedDown2x(nn.Module):
    """Halve height and width of each half by a 2D convolution, and with `time` the frames.

    [B, C, 1 + 2n, 2H, 2W] -> [B, C, 1 + n, H, W]: behind the clip's first frame, the keyframes'
    half keeps the first frame of each pair, the motion's is convolved. Published as `Resample`.
    """

    growth = 1.3
    reach = HALVES

    def __init__(self, channels: int, time: bool, branches: int = 2):
        super().__init__()
        half = channels // branches
        self.names = ("resample_2d", "resample_3d")[:branches]
        for name in self.names:
            halve = nn.Conv2d(half, half, 3, stride=2)
            self.add_module(name, nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), halve))
        self.time_conv = Conv3d(half, half, (2, 1, 1), (2, 1, 1)) if time else None

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        h = over_branches(self, self.names, x)
        return h if self.time_conv is None else self._halve_time(h, state)

    def _halve_time(self, h: Tensor, state: StreamState | None) -> Tensor:
        assert self.time_conv is not None
        frames, is_first_call = with_groups(h, self, state, 2)
        first, pairs = frames[:, :, : int(is_first_call)], frames[:, :, 1:]
        if not pairs.shape[2]:
            return first
        key, motion = pairs.chunk(2, dim=1)
        return torch.cat([first, torch.cat([key[:, :, ::2], self.time_conv(motion)], 1)], dim=2)


class SeparatedUp2x(nn.Module):
    """Double height and width of each half (nearest), then convolve it to half its channels.

    [B, 2C, 1 + n, H, W] -> [B, C, 1 + 2n, 2H, 2W]: with `time` the frames are doubled before,
    behind the clip's first one; the keyframes' half repeats them, the motion's is convolved.
    Published as `Resample`.
    """

    reach = DOUBLES

    def __init__(self, channels: int, time: bool, branches: int = 2):
        super().__init__()
        half = channels // branches
        self.names = ("resample_2d", "resample_3d")[:branches]
        for name in self.names:
            double = nn.Upsample(scale_factor=2, mode="nearest-exact")
            self.add_module(name, nn.Sequential(double, nn.Conv2d(half, half // 2, 3, padding=1)))
        self.time_conv = nn.Conv3d(half, 2 * half, 1) if time else None
        self.growth = 8.0 if time else 4.0

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        h = x if self.time_conv is None else self._double_time(x, state)
        halves = zip(self.names, h.chunk(len(self.names), dim=1), strict=True)
        outputs = []
        for name, half in halves:  # the submodules are nn.Upsample and nn.Conv2d
            conv = self.get_submodule(name).get_submodule("1")
            assert isinstance(conv, nn.Conv2d)
            outputs.append(per_frame(partial(convolve_doubled, conv), half))
        return torch.cat(outputs, dim=1)

    def _double_time(self, x: Tensor, state: StreamState | None) -> Tensor:
        assert self.time_conv is not None
        is_first_call = state is None or state.is_first_call(self)
        first, rest = x[:, :, : int(is_first_call)], x[:, :, int(is_first_call) :]
        if not rest.shape[2]:
            return first
        key, motion = rest.chunk(2, dim=1)
        motion = rearrange(self.time_conv(motion), "b (n c) t h w -> b c (t n) h w", n=2)
        doubled = torch.cat([key.repeat_interleave(2, dim=2), motion], dim=1)
        return torch.cat([first, doubled], dim=2)


class MergeKeyframes(nn.Module):
    """The keyframes' half for frame 0 and the first of every later four, else the motion's.

    [B, 6, 1 + 4n, H, W] -> [B, 3, 1 + 4n, H, W].
    """

    reach = ROW

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        frames, is_first_call = with_groups(x, self, state, 4)
        key, motion = (frames if is_first_call else frames[:, :, 1:]).chunk(2, dim=1)
        takes_key = torch.arange(key.shape[2], device=x.device) % 4 == int(is_first_call)
        takes_key[: int(is_first_call)] = True
        return torch.where(takes_key.view(-1, 1, 1), key, motion)


def over_branches(layer: nn.Module, names: tuple[str, ...], x: Tensor) -> Tensor:
    """Apply a 2D submodule of `layer` to each half of the channels."""
    halves = zip(names, x.chunk(len(names), dim=1), strict=True)
    return torch.cat([per_frame(layer.get_submodule(name), half) for name, half in halves], dim=1)


DILATIONS = (0, 1, 3, 6, 9, 12)
"""Of the parallel 3x3 convolutions; 0 stands for a 1x1 one."""


class AtrousConvs(nn.Module):
    """Six 2D convolutions of the same features, and a 1x1 one that mixes them. Published as `PAC`.

    `branches` is the number of parts, of keyframes and of motion, that the channels have.
    """

    reach = Reach(max(DILATIONS), max(DILATIONS))

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
