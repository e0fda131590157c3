"""Variations of a sample, [3, T, H, W] in [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor

from ..dice import Dice


def keep(dice: Dice, video: Tensor) -> Tensor:
    """No variation."""
    return video


def mirror(dice: Dice, video: Tensor) -> Tensor:
    """Left to right, half of the time."""
    return video.flip(3) if dice.chance(0.5) else video


def vary(dice: Dice, video: Tensor) -> Tensor:
    """Geometry and colours."""
    return vary_colours(dice, vary_geometry(dice, video))


def vary_geometry(dice: Dice, video: Tensor) -> Tensor:
    """Mirror, transpose and reverse."""
    flips = [axis for axis in (1, 2, 3) if dice.chance(0.5)]
    video = video.flip(flips)
    return video.transpose(2, 3) if dice.chance(0.5) else video


def vary_colours(dice: Dice, video: Tensor) -> Tensor:
    """Channel order, saturation, contrast, brightness and gamma."""
    if dice.chance(0.3):
        video = video[dice.permutation(3)]
    if dice.chance(0.5):
        grey = video.mean(0, keepdim=True)
        video = torch.lerp(grey, video, dice.log_uniform(0.5, 2.0))
        video = (video - 0.5) * dice.uniform(0.7, 1.2) + 0.5 + dice.uniform(-0.1, 0.1)
        video = video.clamp(0, 1) ** dice.log_uniform(0.75, 1.33)
    return video.clamp(0, 1)


AUGMENTS = {"none": keep, "mirror": mirror, "strong": vary}
