"""Who is compared: a name, how it reconstructs a clip, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..metrics import compression_ratio
from ..padding import ClipSize, Grid, crop, pad
from ..schedules import Schedule
from ..tiling import Tiles
from ..vae import VideoVAE
from .baselines import BASELINES, SPACE, TIME

Reconstruct = Callable[[Tensor], Tensor]
"""Video [B, 3, T, H, W] in [-1, 1] to the same size; values may pass [-1, 1] a little."""

COLOURS = 3
"""Values of a point of a baseline's small pictures."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """One line of the table.

    `facts`: parameters, VCPR, sha256 and how it runs, as far as it has them. `borders`: the frames
    of a piece where windows join.
    """

    name: str
    reconstruct: Reconstruct
    facts: dict[str, Any] = field(default_factory=dict)
    borders: tuple[int, ...] = ()


@dataclass(frozen=True)
class Compression:
    """By how much a candidate shortens time, after the first frame, and the sides."""

    temporal_compression: int
    spatial_compression: int


def enter_baseline(name: str, video: ClipSize) -> Candidate:
    """Pictures of an eighth a side, one for each group of four frames; no network at all.

    Raises `ValueError` for a name that `BASELINES` hasn't.
    """
    if name not in BASELINES:
        raise ValueError(f"got baseline {name!r}; choose one of {', '.join(BASELINES)}")
    grid = Compression(TIME, SPACE)
    vcpr = find_vcpr(video, grid, COLOURS)
    return Candidate(name, fitted(BASELINES[name], grid), {"parameters": 0, "vcpr": vcpr})


def enter_vae(
    name: str,
    vae: VideoVAE,
    schedule: Schedule,
    tiles: Tiles | None,
    video: ClipSize,
    decode_schedule: Schedule | None = None,
) -> Candidate:
    """One of our VAEs, video or 2D, run by a schedule; `video` is the size of the crops.

    Decoding takes the same schedule unless it is given its own.
    """
    schedules = schedule, decode_schedule or schedule

    def reconstruct(clip: Tensor) -> Tensor:
        return vae.decode(vae.encode(clip, schedules[0], tiles).mode(), schedules[1], tiles)

    weight = next(vae.parameters())
    run = " and ".join(dict.fromkeys(map(str, schedules)))
    place = f"{name_type(weight.dtype)} on {weight.device.type}"
    facts = {
        "parameters": sum(parameter.numel() for parameter in vae.parameters()),
        "vcpr": find_vcpr(video, vae, vae.latent_channels),
        "run": f"{run}, {tiles or 'no tiles'}, {place}",
    }
    if vae.provenance is not None:
        facts["sha256"] = vae.provenance.sha256
    return Candidate(
        name, fitted(reconstruct, vae), facts, find_borders(vae, schedules, video.frames)
    )


def fitted(reconstruct: Reconstruct, grid: Grid) -> Reconstruct:
    """The same for clips of any number of frames and any size: padded, then cropped back."""
    return lambda clip: crop(reconstruct(pad(clip, grid)), ClipSize.of(clip))


def find_borders(
    vae: VideoVAE, schedules: tuple[Schedule, Schedule], frames: int
) -> tuple[int, ...]:
    """The frames before which the encoder or the decoder starts anew."""
    passes = zip((vae.encoder_pass(), vae.decoder_pass()), schedules, strict=True)
    seams = {seam for coder, schedule in passes for seam in schedule.seams(coder, frames)}
    return tuple(sorted(seams))


def find_vcpr(video: ClipSize, grid: Grid, channels: int) -> float:
    """Values of a video for each value of its latent, at the size that is encoded."""
    padded = video.padded(grid)
    time, space = grid.temporal_compression, grid.spatial_compression
    return compression_ratio(padded.frames, padded.height, padded.width, time, space, channels)


def name_type(dtype: torch.dtype) -> str:
    """`torch.float32` -> `float32`."""
    return str(dtype).removeprefix("torch.")
