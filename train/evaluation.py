"""Reconstruction of held-out crops: in memory, from the posterior's mode, rounded to 8 bits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from odvae_core.video import VideoReader, read_video

from .config import ConfigError, DataConfig, EvaluationConfig
from .dice import Dice

Reconstruct = Callable[[Tensor], Tensor]
"""Video [B, 3, T, H, W] in [-1, 1] to the same."""


def to_8_bit(video: Tensor) -> Tensor:
    """Values in [-1, 1] as a file would hold them: whole numbers 0 to 255, in float64."""
    return ((video.double().clamp(-1, 1) + 1) * 127.5).round()


def frame_psnr(reconstruction: Tensor, video: Tensor) -> Tensor:
    """PSNR in dB of each 8-bit rounded frame, [B, T]; equal frames give infinity."""
    error = (to_8_bit(reconstruction) - to_8_bit(video)).square().mean(dim=(1, 3, 4))
    return 10 * torch.log10(255**2 / error)


def cut_crops(path: Path, side: int, config: EvaluationConfig, seed: int) -> Tensor:
    """Random crops of a clip scaled to a short side, [N, 3, T, size, size] in [-1, 1].

    The clip isn't enlarged: raises ConfigError where it, or its length, is too small.
    """
    with VideoReader(path) as reader:
        native = min(reader.size)
    if side > native:
        raise ConfigError(f"{path.name} has a short side of {native}; evaluation.sides asks {side}")
    video = read_video(path, short_side=side, stride=config.stride)[0]
    spare = [
        have - want
        for have, want in zip(
            video.shape[1:], (config.frames, config.size, config.size), strict=True
        )
    ]
    if min(spare) < 0:
        raise ConfigError(
            f"{path.name} gives {list(video.shape[1:])} at side {side} and stride {config.stride}; "
            f"evaluation asks {config.frames} frames of {config.size} pixels"
        )
    crops = []
    for index in range(config.per_clip):
        t, top, left = (
            Dice(seed, side, index, axis).integer(0, room) for axis, room in enumerate(spare)
        )
        crops.append(
            video[:, t:, top:, left:][:, : config.frames, : config.size, : config.size].clone()
        )
    return torch.stack(crops)


def cut_held_out(data: DataConfig, config: EvaluationConfig) -> dict[int, Tensor]:
    """The held-out crops of every short side: {side: [N, 3, T, size, size]}."""
    paths = [Path(data.path) / name for name in data.held_out]
    return {
        side: torch.cat([cut_crops(path, side, config, seed) for seed, path in enumerate(paths)])
        for side in config.sides
    }


@torch.no_grad()
def measure(reconstruct: Reconstruct, crops: dict[int, Tensor]) -> dict[str, float]:
    """Mean PSNR of frames in dB for every short side, and `psnr`, the mean over all crops."""
    values = {
        str(side): torch.cat([frame_psnr(reconstruct(crop[None]), crop[None]) for crop in group])
        for side, group in crops.items()
    }
    means = {side: float(psnr.mean()) for side, psnr in values.items()}
    return {**means, "psnr": float(torch.cat(list(values.values())).mean())}
