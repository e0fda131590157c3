"""Self-attention over the positions of a frame, or over the frames of a position.

One head, as published.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .coder import add_submodule
from .conv import CausalConv3d, FrameConv2d, per_frame
from .norm import RMSNorm, group_norm
from .reach import ROW
from .stream import Step, StreamState, advance, layer_step

SEES_ALL = "its temporal attention sees all frames, so nothing comes out before the clip's end"
"""Why a network with such attention can't be streamed."""


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention among the positions of each sequence: [..., ..., positions, C], all three.

    PyTorch's fused kernels, which never form the matrix of scores, take nothing but contiguous
    tensors of four dimensions; on CUDA the first two are of at most 65,535 each.
    """
    return F.scaled_dot_product_attention(q.contiguous(), k.contiguous(), v.contiguous())


class FrameAttention(nn.Module):
    """Attention among the positions of each frame.

    `norm` is the normalisation to open with; `conv` makes the 1x1 projections. `names` are those of
    the published checkpoints. Published as `AttnBlock3DFix`; with 2D layers as `AttnBlock`.
    """

    names = ("norm", "q", "k", "v", "proj_out")
    norm: nn.Module

    def __init__(self, channels: int, norm: nn.Module, conv: type[nn.Module] = CausalConv3d):
        super().__init__()
        for name, part in zip(
            self.names, (norm, *(conv(channels, channels, 1) for _ in range(4))), strict=True
        ):
            add_submodule(self, name, part)

    def steps(self) -> Iterator[Step]:
        yield layer_step(self, group_norm(self.get_submodule(self.names[0])))

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        return x + self.attend(x, state)

    def attend(self, x: Tensor, state: StreamState | None) -> Tensor:
        """The residual that attention adds to its input."""
        return self.mix(self.get_submodule(self.names[0])(x, state))

    def mix(self, h: Tensor) -> Tensor:
        """Attention among normalised features."""
        *projections, proj_out = (self.get_submodule(name) for name in self.names[1:])
        q, k, v = (self.to_rows(projection(h)) for projection in projections)
        return proj_out(self.from_rows(attend(q, k, v), h))

    def to_rows(self, h: Tensor) -> Tensor:
        """[B, C, T, H, W] -> [..., ..., positions, C], a sequence for each of the first two."""
        return rearrange(h, "b c t h w -> b t (h w) c")

    def from_rows(self, rows: Tensor, x: Tensor) -> Tensor:
        """The inverse of `to_rows`, for features of the size of `x`."""
        return rearrange(rows, "b t (h w) c -> b c t h w", h=x.shape[3])


class ChannelFrameAttention(FrameAttention):
    """Attention whose rows mix channels with frames: the published code reshapes where a transpose
    would be correct.

    Published as `AttnBlock3D`.
    The weights of v1.0 were trained with it. With one frame it equals `FrameAttention`; with more,
    the clip can't be cut.
    """

    whole_clip_only = "its attention (AttnBlock3D, as published with v1.0) mixes channels with time"

    def to_rows(self, h: Tensor) -> Tensor:
        b, c, t, height, width = h.shape
        return h.flatten(1).view(b, t, c, height * width).transpose(2, 3)

    def from_rows(self, rows: Tensor, x: Tensor) -> Tensor:
        return rows.transpose(2, 3).flatten(1).view(x.shape)


class ClipAttention(FrameAttention):
    """Attention that sees all frames: in a stream it withholds the clip until `state.last`.

    `across_time` says that a position sees its own frames only.
    """

    looks_ahead = True
    unstreamable = SEES_ALL
    across_time = False

    def steps(self) -> Iterator[Step]:
        yield Step(self.normalise, group_norm(self.norm), reach=ROW)
        yield Step(self.mix_clip, across_time=self.across_time)

    def normalise(self, x: Tensor, _: Tensor | None, state: StreamState | None):
        return self.norm(x, state), x

    def mix_clip(self, x: Tensor, shortcut: Tensor | None, state: StreamState | None):
        assert shortcut is not None
        x = withhold_clip(x, self, state)
        shortcut = withhold_clip(shortcut, self, state, "shortcut")
        return (self.mix(x) + shortcut if x.shape[2] else x), None

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        return advance(self.steps(), x, None, state)[0]


class TemporalAttention(ClipAttention):
    """Attention among the frames of each position. Published as `TemporalAttnBlock`."""

    across_time = True

    def __init__(self, channels: int, norm: nn.Module):
        super().__init__(channels, norm, nn.Conv3d)

    def to_rows(self, h: Tensor) -> Tensor:
        return rearrange(h, "b c t h w -> (b h) w t c")

    def from_rows(self, rows: Tensor, x: Tensor) -> Tensor:
        return rearrange(rows, "(b h) w t c -> b c t h w", h=x.shape[3])


class PictureAttention(nn.Module):
    """Attention among the positions of a picture [N, C, H, W], behind an RMS norm."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = RMSNorm(channels, branches=1, dims=2)
        self.to_qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.proj = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        rows = rearrange(self.to_qkv(self.norm(x)), "n (r c) h w -> r n 1 (h w) c", r=3)
        attended = attend(*rows)
        return x + self.proj(rearrange(attended, "n 1 (h w) c -> n c h w", h=x.shape[2]))


class FrameQkvAttention(PictureAttention):
    """`PictureAttention` of every frame. Published as `AttentionBlock` with Wan."""

    growth = 3.0

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        return per_frame(super().forward, x)


class ChannelLinear(nn.Linear):
    """A linear map of the channels of [B, C, T, H, W], with the weight of `nn.Linear`."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 1):
        assert kernel == 1
        super().__init__(in_channels, out_channels)

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        return F.conv3d(x, self.weight[..., None, None, None], self.bias)


class LinearFrameAttention(FrameAttention):
    """`FrameAttention` of linear maps, in diffusers' names. In CV-VAE's SD3 network."""

    names = ("group_norm", "to_q", "to_k", "to_v", "to_out.0")

    def __init__(self, channels: int, norm: nn.Module):
        super().__init__(channels, norm, ChannelLinear)


class SpaceTimeAttention(FrameAttention):
    """Attention within each frame, then among all frames of each position.

    One shortcut goes around both. In a stream it withholds the clip until `state.last`. Published
    with CV-VAE as `MemoryEfficientAttnVideoBlock`.
    """

    looks_ahead = True
    unstreamable = SEES_ALL

    def __init__(self, channels: int, norm: nn.Module, conv: type[nn.Module] = FrameConv2d):
        super().__init__(channels, norm, conv)
        self.norm_t = nn.LayerNorm(channels)
        self.q_t = nn.Linear(channels, channels)
        self.k_t = nn.Linear(channels, channels)
        self.v_t = nn.Linear(channels, channels)
        self.proj_out_t = nn.Linear(channels, channels)

    def steps(self) -> Iterator[Step]:
        yield Step(self.attend_within_frames)
        yield Step(self.attend_across_frames, across_time=True)

    def attend_within_frames(self, x: Tensor, _: Tensor | None, state: StreamState | None):
        return self.attend(x, state), x

    def attend_across_frames(self, x: Tensor, shortcut: Tensor | None, state: StreamState | None):
        assert shortcut is not None
        x = withhold_clip(x, self, state)
        shortcut = withhold_clip(shortcut, self, state, "shortcut")
        if not x.shape[2]:
            return x, None
        rows = self.norm_t(rearrange(x, "b c t h w -> (b h) w t c"))
        attended = attend(self.q_t(rows), self.k_t(rows), self.v_t(rows))
        rows = rearrange(self.proj_out_t(attended), "(b h) w t c -> b c t h w", h=x.shape[3])
        return rows + shortcut, None

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        return advance(self.steps(), x, None, state)[0]


class CausalSpaceTimeAttention(FrameAttention):
    """Attention of each frame's positions to those of its own and of all earlier frames.

    The keys and values of earlier frames are kept, so the state grows with the clip; no mask is
    built. Published as `AttnBlock` with HunyuanVideo, whose authors mask later frames.
    """

    def attend(self, x: Tensor, state: StreamState | None) -> Tensor:
        h = self.get_submodule(self.names[0])(x, state)
        *projections, proj_out = (self.get_submodule(name) for name in self.names[1:])
        q, k, v = (self.to_rows(projection(h)) for projection in projections)
        keys, values = self.extend(k, state, "keys"), self.extend(v, state, "values")
        rows = []
        for i in range(q.shape[1]):
            seen = keys.shape[1] - q.shape[1] + i + 1
            k, v = (t[:, :seen].flatten(1, 2).unsqueeze(1) for t in (keys, values))
            rows.append(attend(q[:, i : i + 1], k, v))
        return proj_out(self.from_rows(torch.cat(rows, dim=1), h))

    def extend(self, new: Tensor, state: StreamState | None, name: str) -> Tensor:
        """Earlier frames' rows [B, T, positions, C] and the new ones, which are kept too."""
        if state is None:
            return new
        past = state.recall(self, name)
        rows = new if past is None else torch.cat([past, new], dim=1)
        state.remember(self, rows, name)
        return rows


class FullSpaceTimeAttention(ClipAttention):
    """Attention among all positions of all frames.

    So ComfyUI runs `AttnBlock` of HunyuanVideo, without its authors' mask.
    """

    unstreamable = "its attention (full, as ComfyUI runs it) sees all frames: use the causal one"

    def to_rows(self, h: Tensor) -> Tensor:
        return rearrange(h, "b c t h w -> b 1 (t h w) c")

    def from_rows(self, rows: Tensor, x: Tensor) -> Tensor:
        return rearrange(rows, "b 1 (t h w) c -> b c t h w", t=x.shape[2], h=x.shape[3])


def withhold_clip(
    x: Tensor, layer: nn.Module, state: StreamState | None, name: str = "past"
) -> Tensor:
    """Return no frame until the last chunk, then the whole clip."""
    if state is None:
        return x
    past = state.recall(layer, name)
    x = x if past is None else torch.cat([past, x], dim=2)
    if state.last:
        return x
    state.remember(layer, x, name)
    return x[:, :, :0]
