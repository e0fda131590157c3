"""Augmentations of a sample, [3, T, H, W] in [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor

from ..keyed_random import KeyedRandom


def keep_unchanged(rng: KeyedRandom, video: Tensor) -> Tensor:
    """No augmentation."""
    return video


def mirror(rng: KeyedRandom, video: Tensor) -> Tensor:
    """Mirror left to right with probability 0.5."""
    return video.flip(3) if rng.chance(0.5) else video


def augment_strongly(rng: KeyedRandom, video: Tensor) -> Tensor:
    """Change geometry and colours."""
    return augment_colours(rng, augment_geometry(rng, video))


def augment_geometry(rng: KeyedRandom, video: Tensor) -> Tensor:
    """Mirror, transpose and reverse."""
    flips = [axis for axis in (1, 2, 3) if rng.chance(0.5)]
    video = video.flip(flips)
    return video.transpose(2, 3) if rng.chance(0.5) else video


def augment_colours(rng: KeyedRandom, video: Tensor) -> Tensor:
    """Change channel order, saturation, contrast, brightness and gamma."""
    if rng.chance(0.3):
        video = video[rng.permutation(3)]
    if rng.chance(0.5):
        grey = video.mean(0, keepdim=True)
        video = torch.lerp(grey, video, rng.log_uniform(0.5, 2.0))
        video = (video - 0.5) * rng.uniform(0.7, 1.2) + 0.5 + rng.uniform(-0.1, 0.1)
        video = video.clamp(0, 1) ** rng.log_uniform(0.75, 1.33)
    return video.clamp(0, 1)


AUGMENTATIONS = {"none": keep_unchanged, "mirror": mirror, "strong": augment_strongly}
