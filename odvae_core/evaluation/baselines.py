"""What needs no network: a clip kept as one small picture per group of frames, and brought back.

Groups are those of the latent grid: frame 0 alone, then four frames each; an eighth of each side.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..layers.conv import per_frame

SPACE, TIME = 8, 4


def shrink_frames(video: Tensor) -> Tensor:
    """Bicubic, antialiased, to an eighth a side: [B, C, T, H, W] -> [B, C, T, H / 8, W / 8]."""
    return per_frame(
        lambda x: F.interpolate(x, scale_factor=1 / SPACE, mode="bicubic", antialias=True), video
    )


def enlarge_frames(video: Tensor) -> Tensor:
    """Bicubic, eight times a side, within [-1, 1]."""
    larger = per_frame(lambda x: F.interpolate(x, scale_factor=SPACE, mode="bicubic"), video)
    return larger.clamp(-1, 1)


def keep_group_means(video: Tensor) -> Tensor:
    """Every frame becomes the mean of its group: [B, C, 1 + 4k, H, W] to the same."""
    first, rest = video[:, :, :1], video[:, :, 1:]
    groups = rest.unflatten(2, (-1, TIME)).mean(3)
    return torch.cat([first, groups.repeat_interleave(TIME, dim=2)], dim=2)


def keep_nearest(video: Tensor) -> Tensor:
    """Every frame becomes the nearest of the frames 0, 4, 8, ...; of two as near, the earlier."""
    frames = torch.arange(video.shape[2])
    return video[:, :, (frames + TIME // 2 - 1) // TIME * TIME]


def reconstruct_by_means(video: Tensor) -> Tensor:
    """Bicubic down, group means, bicubic up: video [B, 3, 1 + 4k, H, W] in [-1, 1] to the same."""
    return enlarge_frames(keep_group_means(shrink_frames(video)))


def reconstruct_by_nearest(video: Tensor) -> Tensor:
    """Bicubic down, nearest kept frame, bicubic up."""
    return enlarge_frames(keep_nearest(shrink_frames(video)))


BASELINES = {"bicubic-mean": reconstruct_by_means, "bicubic-nearest": reconstruct_by_nearest}
