"""Normalisation over the clip, over each frame, or over the channels of each position."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .conv import per_frame
from .stream import StreamState


class ClipGroupNorm(nn.GroupNorm):
    """GroupNorm over (C / groups, T, H, W).

    Its statistics span the clip: a cut is exact only if they are known before.
    """

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        if state is None:
            return super().forward(x)
        moments = state.moments(self, x, self.num_groups)
        scale = (moments.variance + self.eps).rsqrt()
        per_group = self.num_channels // self.num_groups
        scale = scale.repeat_interleave(per_group, dim=1) * self.weight
        shift = self.bias - moments.mean.repeat_interleave(per_group, dim=1) * scale
        channels = (*scale.shape, 1, 1, 1)
        return torch.addcmul(shift.view(channels), x, scale.view(channels)).to(x.dtype)


class FrameGroupNorm(nn.GroupNorm):
    """GroupNorm over (C / groups, H, W) of each frame."""

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        return per_frame(super().forward, x)


class ChannelNorm(nn.Module):
    """LayerNorm over the channels of each position. Published with WF-VAE as `LayerNorm`."""

    def __init__(self, channels: int, eps: float = 1e-6):
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps)

    def forward(self, x: Tensor, state: StreamState | None = None) -> Tensor:
        return self.norm(x.movedim(1, -1)).movedim(-1, 1)


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


def clip_norm(norm: nn.Module) -> nn.Module | None:
    """`norm` where its statistics span the clip, None where it works frame by frame."""
    return norm if isinstance(norm, ClipGroupNorm) else None


def activate(x: Tensor) -> Tensor:
    """SiLU of a norm's output, in place where no gradient is recorded."""
    return F.silu(x, inplace=not torch.is_grad_enabled())
