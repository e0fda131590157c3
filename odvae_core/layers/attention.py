"""Self-attention over the positions of a frame, or over the frames of a position. One head, as published."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .conv import CausalConv3d
from .stream import StreamState


class FrameAttention(nn.Module):
    """Attention among the positions of each frame. Published as `AttnBlock3DFix`; with 2D layers as `AttnBlock`.

    `norm` is the normalisation to open with; `conv` makes the 1x1 projections.
    """

    def __init__(self, channels: int, norm: nn.Module, conv: type[nn.Module] = CausalConv3d):
        super().__init__()
        self.norm = norm
        self.q = conv(channels, channels, 1)
        self.k = conv(channels, channels, 1)
        self.v = conv(channels, channels, 1)
        self.proj_out = conv(channels, channels, 1)

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        h = self.norm(x, state)
        rows = (self.to_rows(projection(h)) for projection in (self.q, self.k, self.v))
        return x + self.proj_out(self.from_rows(F.scaled_dot_product_attention(*rows), x))

    def to_rows(self, h: Tensor) -> Tensor:
        """[B, C, T, H, W] -> [sequences, positions, C]."""
        return rearrange(h, "b c t h w -> (b t) (h w) c")

    def from_rows(self, rows: Tensor, x: Tensor) -> Tensor:
        """The inverse of `to_rows`, for features of the size of `x`."""
        b, _, t, h, w = x.shape
        return rearrange(rows, "(b t) (h w) c -> b c t h w", b=b, t=t, h=h, w=w)


class ScrambledAttention(FrameAttention):
    """`AttnBlock3D` as published with v1.0: it reshapes where it should transpose, so channels mix with frames.

    The weights of v1.0 were trained with it. With one frame it equals `FrameAttention`; with more, the clip can't be cut.
    """

    whole_clip_only = "its attention (AttnBlock3D, as published with v1.0) mixes channels with time"

    def to_rows(self, h: Tensor) -> Tensor:
        b, c, t, height, width = h.shape
        return h.reshape(b * t, c, height * width).transpose(1, 2)

    def from_rows(self, rows: Tensor, x: Tensor) -> Tensor:
        return rows.transpose(1, 2).reshape(x.shape)


class TemporalAttention(FrameAttention):
    """Attention among the frames of each position, over the whole clip. Published as `TemporalAttnBlock`.

    In a stream it withholds the clip until `state.last`.
    """

    looks_ahead = True

    def __init__(self, channels: int, norm: nn.Module):
        super().__init__(channels, norm, nn.Conv3d)

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        if state is not None:
            past = state.recall(self)
            x = x if past is None else torch.cat([past, x], dim=2)
            if not state.last:
                state.remember(self, x)
                return x[:, :, :0]
        return super().forward(x, state)

    def to_rows(self, h: Tensor) -> Tensor:
        return rearrange(h, "b c t h w -> (b h w) t c")

    def from_rows(self, rows: Tensor, x: Tensor) -> Tensor:
        b, _, _, h, w = x.shape
        return rearrange(rows, "(b h w) t c -> b c t h w", b=b, h=h, w=w)
