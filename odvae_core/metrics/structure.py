"""Where the error of a reconstruction sits in time, and how much its latent is smaller."""

import math
from collections.abc import Collection
from typing import NamedTuple

import torch
from torch import Tensor

from .fidelity import flicker


class BorderError(NamedTuple):
    """The mean `flicker` where windows join, between all other frames, and their ratio.

    1 is a schedule without seams. Where both are 0 the ratio is 1, where only the second is, inf.
    """

    at_borders: float
    elsewhere: float
    ratio: float


def border_error(video: Tensor, reference: Tensor, borders: Collection[int]) -> BorderError:
    """The seams that a schedule leaves in videos [B, C, T, H, W] in [-1, 1], in float64.

    `borders` are the first frames of every window but the first: 5 stands for the change from frame
    4 to frame 5. ValueError: no border, one outside of the clip, or no frame between borders.
    """
    changes = flicker(video, reference)
    frames = video.shape[2]
    places = sorted({border - 1 for border in borders})
    if not places or places[0] < 0 or places[-1] > frames - 2 or len(places) > frames - 2:
        raise ValueError(
            f"got borders {sorted(borders)} in {frames} frames; give at least one of 1 to "
            f"{frames - 1} and not all: leave the figure out where nothing is joined"
        )
    is_border = torch.zeros(frames - 1, dtype=torch.bool, device=changes.device)
    is_border[places] = True
    at_borders = changes[:, is_border].mean().item()
    elsewhere = changes[:, ~is_border].mean().item()
    return BorderError(at_borders, elsewhere, divide(at_borders, elsewhere))


def divide(error: float, usual: float) -> float:
    if usual:
        return error / usual
    return math.inf if error else 1.0


def by_position(values: Tensor, group: int = 4) -> Tensor:
    """Figures per frame [B, T] -> means [1 + group] in float64, by the frame's place in its group.

    A causal VAE compresses frame 0 alone and then `group` frames at a time: the first mean is frame
    0's, the others those of the first, second, ... frame of all groups. Quality differs between the
    frames of a group (IV-VAE, arXiv 2411.06449). ValueError: no whole group in the clip.
    """
    if values.ndim != 2 or group < 1 or values.shape[1] < 1 + group:
        raise ValueError(
            f"got figures {list(values.shape)} for groups of {group}; take [B, T] with {1 + group} "
            "frames or more: evaluate longer clips"
        )
    places = [values[:, :1], *(values[:, place::group] for place in range(1, 1 + group))]
    return torch.stack([place.double().mean() for place in places])


def compression_ratio(
    frames: int,
    height: int,
    width: int,
    temporal_compression: int,
    spatial_compression: int,
    latent_channels: int,
) -> float:
    """VCPR, the video compression ratio: colour values of a clip for each value of its latent.

    3 T H W / (C (1 + (T - 1) / t) (H / s) (W / s)). 171 for OD-VAE (t = 4, s = 8, C = 4) at
    25x256x256, 192 for endless clips. The name is the OD-VAE paper's (arXiv 2409.01199); how it
    counts is left open by the sources at hand: it speaks of t and s, whose product t s s is 256.
    Here the first frame and the channels count too, or VAEs of 4 and 16 channels
    would count as the same. ValueError: sizes that the VAE doesn't take.
    """
    steps, rest = divmod(frames - 1, temporal_compression)
    odd = [side for side in (height, width) if side < 1 or side % spatial_compression]
    if rest or frames < 1 or odd:
        raise ValueError(
            f"got a clip of {frames}x{height}x{width}; take 1 + {temporal_compression}k frames and "
            f"sides that are multiples of {spatial_compression}"
        )
    latent = latent_channels * (1 + steps) * (height // spatial_compression)
    return 3 * frames * height * width / (latent * (width // spatial_compression))
