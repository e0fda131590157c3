"""Layers of HunyuanVideo 1.5 that fold pixels into channels, beside a path without weights.

The clip's first frame is folded in space alone: its channels stand for both frames of a pair.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn

from .coder import Coder
from .conv import CausalConv3d
from .reach import Reach
from .stream import StreamState, starts_clip, with_past


class RepeatConv3d(CausalConv3d):
    """A causal convolution, plus its input with every channel repeated."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(in_channels, out_channels, space="replicate")
        self.repeats = out_channels // in_channels

    def forward(self, x: Tensor, state: StreamState | None = None, doubled: None = None) -> Tensor:
        return super().forward(x, state) + x.repeat_interleave(self.repeats, dim=1)


class FoldDown2x(nn.Module):
    """Convolve, then fold 2 x 2 pixels, with `time` of two frames, into channels.

    [B, C, 1 + 2n, 2H, 2W] -> [B, C', 1 + n, H, W], plus the means of groups of the input's folded
    channels. Published as `DownsampleDCAE`.
    """

    reach = Reach(1, 1, down=2)
    growth = 2.0

    def __init__(self, in_channels: int, out_channels: int, time: bool):
        super().__init__()
        self.out_channels, self.times = out_channels, 1 + time
        self.conv = CausalConv3d(in_channels, out_channels // (4 * self.times), space="replicate")

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        both = torch.cat([self.conv(x, state), x], dim=1)
        if self.times == 1:
            return self.fold(both, 1)
        count = int(starts_clip(self, state))
        pairs = with_past(both[:, :, count:], self, state, kernel=2, stride=2, before="nothing")
        pairs = pairs[:, :, : pairs.shape[2] // 2 * 2]
        return torch.cat([self.fold(both[:, :, :count], 1), self.fold(pairs, 2)], dim=2)

    def fold(self, both: Tensor, times: int) -> Tensor:
        """The folded convolution plus the means; a single frame's channels are repeated."""
        layout = "b c (t p) (h q) (w r) -> b (p q r c) t h w"
        h, x = (
            rearrange(part, layout, p=times, q=2, r=2)
            for part in both.tensor_split([self.conv.conv.out_channels], dim=1)
        )
        h = h.repeat(1, self.times // times, 1, 1, 1)
        return h + x.unflatten(1, (self.out_channels, -1)).mean(dim=2)


class UnfoldUp2x(nn.Module):
    """Convolve, then unfold channels to 2 x 2 pixels, with `time` of two frames.

    [B, C, 1 + n, H, W] -> [B, C', 1 + 2n, 2H, 2W], plus the input's repeated channels unfolded
    alike; of the first frame's channels the first half is used. Published as `UpsampleDCAE`.
    """

    reach = Reach(1, 1, up=2)

    def __init__(self, in_channels: int, out_channels: int, time: bool):
        super().__init__()
        self.out_channels, self.times = out_channels, 1 + time
        widened = out_channels * 4 * self.times
        self.conv = CausalConv3d(in_channels, widened, space="replicate")
        self.repeats = widened // in_channels
        self.growth = 2.0 * widened / in_channels

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        h = self.conv(x, state)
        if self.times == 1 or not starts_clip(self, state):
            return self.unfold(h, x, self.times)
        first = self.unfold(h[:, :, :1], x[:, :, :1], 1)
        return torch.cat([first, self.unfold(h[:, :, 1:], x[:, :, 1:], 2)], dim=2)

    def unfold(self, h: Tensor, x: Tensor, times: int) -> Tensor:
        layout = "b (p q r c) t h w -> b c (t p) (h q) (w r)"
        repeated = x.repeat_interleave(self.repeats * times // self.times, dim=1)
        h, x = (rearrange(part, layout, p=times, q=2, r=2) for part in (h, repeated))
        return h[:, : self.out_channels] + x


class MeansCoder(Coder):
    """A `Coder` whose head adds the means of groups of its input's channels."""

    def finish(self, x: Tensor, state: StreamState | None) -> Tensor:
        output = super().finish(x, state)
        return output + x.unflatten(1, (output.shape[1], -1)).mean(dim=2)
