"""Normalisation over the clip, over each frame, or over the channels of each position."""

from __future__ import annotations

import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .conv import per_frame
from .stream import Moments, StreamState


class ClipGroupNorm(nn.GroupNorm):
    """GroupNorm over (C / groups, T, H, W).

    Its statistics span the clip: a cut is exact only if they are known before.
    """

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        if state is None:
            return super().forward(x)
        return normalise(self, x, state.moments(self, x, self.num_groups))


class FrameGroupNorm(nn.GroupNorm):
    """GroupNorm over (C / groups, H, W) of each frame."""

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        moments = None if state is None else state.frame_moments.get(self)
        if moments is None:
            return per_frame(super().forward, x)
        return per_frame(partial(normalise, self, moments=moments), x)


class ChannelNorm(nn.Module):
    """LayerNorm over the channels of each position. Published with WF-VAE as `LayerNorm`."""

    def __init__(self, channels: int, eps: float = 1e-6):
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps)

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        return self.norm(x.movedim(1, -1)).movedim(-1, 1)


def normalise(norm: nn.GroupNorm, x: Tensor, moments: Moments) -> Tensor:
    """Features [B, C, ...] normalised by given moments [B, G], in place of their own."""
    per_group = norm.num_channels // norm.num_groups
    scale = (moments.variance + norm.eps).rsqrt().repeat_interleave(per_group, dim=1) * norm.weight
    shift = norm.bias - moments.mean.repeat_interleave(per_group, dim=1) * scale
    channels = (*scale.shape, *[1] * (x.ndim - 2))
    return torch.addcmul(shift.view(channels), x, scale.view(channels)).to(x.dtype)


def group_norm(norm: nn.Module) -> nn.GroupNorm | None:
    """`norm` where its statistics span positions, None where it works on each by itself."""
    return norm if isinstance(norm, nn.GroupNorm) else None


class RMSNorm(nn.Module):
    """Divide each branch's channels by their root mean square, at every position of every frame.

    `dims` is the number of dimensions behind the channels. Published as `Sep_RMS_norm` with
    IV-VAE, and with one branch as `RMS_norm` with Wan.
    """

    def __init__(self, channels: int, branches: int = 2, dims: int = 3):
        super().__init__()
        self.branches = branches
        self.gamma = nn.Parameter(torch.ones(channels, *[1] * dims))

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        parts = x.unflatten(1, (self.branches, -1))
        wide = torch.promote_types(x.dtype, torch.float32)  # squares leave float16
        norm = torch.linalg.vector_norm(parts, dim=2, keepdim=True, dtype=wide)
        rms = norm / math.sqrt(parts.shape[2])
        smallest = max(1e-12, torch.finfo(x.dtype).tiny)
        return (parts / rms.clamp_min(smallest).to(x.dtype)).flatten(1, 2) * self.gamma


def activate(x: Tensor) -> Tensor:
    """SiLU of a norm's output, in place where no gradient is recorded."""
    return F.silu(x, inplace=not torch.is_grad_enabled())
