"""Group normalisation over the clip, or over each frame by itself."""

from __future__ import annotations

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


def activate(x: Tensor) -> Tensor:
    """SiLU of a norm's output, in place where no gradient is recorded."""
    return F.silu(x, inplace=not torch.is_grad_enabled())
