"""The distribution of errors in time, and the compression ratio."""

import math
from collections.abc import Collection
from typing import NamedTuple

import torch
from torch import Tensor

from .fidelity import flicker


class BorderError(NamedTuple):
    """The mean `flicker` where windows join, between all other frames, and their ratio.

    A schedule without seams has ratio 1. The ratio is 1 if both are 0, and inf if only `elsewhere`
    is.
    """

    at_borders: float
    elsewhere: float
    ratio: float


def border_error(video: Tensor, reference: Tensor, borders: Collection[int]) -> BorderError:
    """The seams of a schedule in videos [B, C, T, H, W] in [-1, 1], in float64.

    `borders` are the first frames of every window except the first: 5 is the change from frame 4 to
    frame 5. ValueError: no border, a border outside the clip, or no frame between borders.
    """
    changes = flicker(video, reference)
    frames = video.shape[2]
    positions = sorted({border - 1 for border in borders})
    inside = bool(positions) and positions[0] >= 0 and positions[-1] <= frames - 2
    if not inside or len(positions) > frames - 2:
        raise ValueError(
            f"got borders {sorted(borders)} in {frames} frames; give at least one of 1 to "
            f"{frames - 1} and not all: don't measure it where no windows join"
        )
    is_border = torch.zeros(frames - 1, dtype=torch.bool, device=changes.device)
    is_border[positions] = True
    at_borders = changes[:, is_border].mean().item()
    elsewhere = changes[:, ~is_border].mean().item()
    return BorderError(at_borders, elsewhere, divide_errors(at_borders, elsewhere))


def divide_errors(error: float, usual: float) -> float:
    """The ratio of two errors; 1 if both are 0."""
    if usual:
        return error / usual
    return math.inf if error else 1.0


def by_position(values: Tensor, group: int = 4) -> Tensor:
    """Values per frame [B, T] -> means [1 + group] in float64, by the frame's position in its
    group.

    A causal VAE compresses frame 0 alone and then `group` frames at a time: the first mean is frame
    0's, the others are those of the first, second, ... frame of all groups. Quality differs between
    the frames of a group (IV-VAE, arXiv 2411.06449). ValueError: no whole group in the clip.
    """
    if values.ndim != 2 or group < 1 or values.shape[1] < 1 + group:
        raise ValueError(
            f"got values {list(values.shape)} for groups of {group}; give [B, T] with {1 + group} "
            "frames or more: evaluate longer clips"
        )
    positions = [values[:, :1], *(values[:, position::group] for position in range(1, 1 + group))]
    return torch.stack([position.double().mean() for position in positions])
