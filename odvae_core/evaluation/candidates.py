"""Candidates of an evaluation: VAEs of this package, and baselines without a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..layers.conv import per_frame
from ..padding import ClipSize, Grid, crop, latent_frames, pad
from ..schedules import Schedule
from ..tiling import Tiles
from ..vae import VideoVAE

Reconstruct = Callable[[Tensor], Tensor]
"""Video [B, 3, T, H, W] in [-1, 1] to the same size; values may slightly exceed [-1, 1]."""

SPACE, TIME, COLOUR_CHANNELS = 8, 4, 3
"""Compression and channels of the baselines' small pictures."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """One row of the table: a name, a reconstruction function and facts.

    `facts`: parameters, VCPR, sha256 and how it runs, as far as they apply. `borders`: the frames
    of a piece at which windows join.
    """

    name: str
    reconstruct: Reconstruct
    facts: dict[str, Any] = field(default_factory=dict)
    borders: tuple[int, ...] = ()


@dataclass(frozen=True)
class Compression:
    """The temporal compression, after the first frame, and the spatial compression of a
    candidate."""

    temporal_compression: int
    spatial_compression: int


def shrink_frames(video: Tensor) -> Tensor:
    """Bicubic with antialiasing, by 8: [B, C, T, H, W] -> [B, C, T, H / 8, W / 8]."""
    return per_frame(
        lambda x: F.interpolate(x, scale_factor=1 / SPACE, mode="bicubic", antialias=True), video
    )


def enlarge_frames(video: Tensor) -> Tensor:
    """Bicubic, by 8, clamped to [-1, 1]."""
    larger = per_frame(lambda x: F.interpolate(x, scale_factor=SPACE, mode="bicubic"), video)
    return larger.clamp(-1, 1)


def keep_group_means(video: Tensor) -> Tensor:
    """Replace every frame by the mean of its group: [B, C, 1 + 4k, H, W] to the same.

    Groups are those of the latent frames: frame 0 alone, then four frames each.
    """
    first, rest = video[:, :, :1], video[:, :, 1:]
    groups = rest.unflatten(2, (-1, TIME)).mean(3)
    return torch.cat([first, groups.repeat_interleave(TIME, dim=2)], dim=2)


def keep_nearest(video: Tensor) -> Tensor:
    """Replace every frame by the nearest of the frames 0, 4, 8, ...; the earlier of two as near."""
    frames = torch.arange(video.shape[2])
    return video[:, :, (frames + TIME // 2 - 1) // TIME * TIME]


def reconstruct_by_means(video: Tensor) -> Tensor:
    """Bicubic down, group means, bicubic up: video [B, 3, 1 + 4k, H, W] in [-1, 1] to the same."""
    return enlarge_frames(keep_group_means(shrink_frames(video)))


def reconstruct_by_nearest(video: Tensor) -> Tensor:
    """Bicubic down, nearest kept frame, bicubic up."""
    return enlarge_frames(keep_nearest(shrink_frames(video)))


BASELINES = {"bicubic-mean": reconstruct_by_means, "bicubic-nearest": reconstruct_by_nearest}


def make_baseline_candidate(name: str, video: ClipSize) -> Candidate:
    """A baseline: one picture of an eighth of each side for each group of four frames.

    Raises `ValueError` for a name that is not in `BASELINES`.
    """
    if name not in BASELINES:
        raise ValueError(f"got baseline {name!r}; choose one of {', '.join(BASELINES)}")
    grid = Compression(TIME, SPACE)
    vcpr = compute_vcpr(video, grid, COLOUR_CHANNELS)
    facts = {"parameters": 0, "vcpr_paper": count_vcpr(grid), "vcpr": vcpr}
    return Candidate(name, pad_and_crop(BASELINES[name], grid), facts)


def make_vae_candidate(
    name: str,
    vae: VideoVAE,
    schedule: Schedule,
    tiles: Tiles | None,
    video: ClipSize,
    decode_schedule: Schedule | None = None,
) -> Candidate:
    """A VAE of this package, video or 2D, with its schedules; `video` is the size of the crops.

    Decoding uses `schedule` too unless `decode_schedule` is given.
    """
    schedules = schedule, decode_schedule or schedule

    def reconstruct(clip: Tensor) -> Tensor:
        return vae.decode(vae.encode(clip, schedules[0], tiles).mode(), schedules[1], tiles)

    weight = next(vae.parameters())
    run = " and ".join(dict.fromkeys(map(str, schedules)))
    device = f"{dtype_name(weight.dtype)} on {weight.device.type}"
    facts = {
        "parameters": sum(parameter.numel() for parameter in vae.parameters()),
        "vcpr_paper": count_vcpr(vae),
        "vcpr": compute_vcpr(video, vae, vae.latent_channels),
        "run": f"{run}, {tiles or 'no tiles'}, {device}",
    }
    if vae.provenance is not None:
        facts["sha256"] = vae.provenance.sha256
    return Candidate(
        name,
        pad_and_crop(reconstruct, vae),
        facts,
        find_window_borders(vae, schedules, video.frames),
    )


def pad_and_crop(reconstruct: Reconstruct, grid: Grid) -> Reconstruct:
    """A function for clips of any size: pads them for `reconstruct` and crops the result."""
    return lambda clip: crop(reconstruct(pad(clip, grid)), ClipSize.of(clip))


def find_window_borders(
    vae: VideoVAE, schedules: tuple[Schedule, Schedule], frames: int
) -> tuple[int, ...]:
    """The first frames of the encoder's and decoder's windows, except frame 0."""
    passes = zip((vae.encoder_pass(), vae.decoder_pass()), schedules, strict=True)
    seams = {seam for coder, schedule in passes for seam in schedule.seams(coder, frames)}
    return tuple(sorted(seams))


def count_vcpr(grid: Grid) -> int:
    """The compression as OD-VAE's Table 1 counts it: positions of a video for each of its latent.

    256 of 4x8x8, 64 of a 2D VAE's 1x8x8: neither channels nor the first frame count.
    """
    return grid.temporal_compression * grid.spatial_compression**2


def compute_vcpr(video: ClipSize, grid: Grid, channels: int) -> float:
    """Values of a video for each value of its latent, at the padded size."""
    padded = video.padded(grid)
    space, latents = grid.spatial_compression, latent_frames(padded.frames, grid)
    values = channels * latents * (padded.height // space) * (padded.width // space)
    return COLOUR_CHANNELS * padded.frames * padded.height * padded.width / values


def dtype_name(dtype: torch.dtype) -> str:
    """`torch.float32` -> `float32`."""
    return str(dtype).removeprefix("torch.")
