"""Reconstruction of held-out crops: in memory, from the posterior's mode, rounded to 8 bits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from odvae_core.metrics import psnr, quantize
from odvae_core.video import VideoReader, read_video

from .config import ConfigError, DataConfig, EvaluationConfig
from .dice import Dice

Reconstruct = Callable[[Tensor], Tensor]
"""Video [B, 3, T, H, W] in [-1, 1] to the same."""


def read_strided(path: Path, side: int, stride: int) -> Tensor:
    """Every stride-th frame of a clip with this short side, [3, T, H, W] in [-1, 1].

    The clip isn't enlarged: raises ConfigError where it is smaller.
    """
    with VideoReader(path) as reader:
        native = min(reader.size)
    if side > native:
        raise ConfigError(f"{path.name} has a short side of {native}; evaluation.sides asks {side}")
    return read_video(path, short_side=side, stride=stride)[0]


def cut_crops(video: Tensor, config: EvaluationConfig, seed: int) -> Tensor:
    """Random crops of a clip [3, T, H, W], always the same: [N, 3, frames, size, size].

    Raises ConfigError where the clip is too small or too short.
    """
    wanted = (config.frames, config.size, config.size)
    spare = [have - want for have, want in zip(video.shape[1:], wanted, strict=True)]
    if min(spare) < 0:
        raise ConfigError(
            f"got a held-out clip of {list(video.shape[1:])} frames, height and width at stride "
            f"{config.stride}; evaluation cuts {list(wanted)}: make its crops smaller"
        )
    crops = []
    for index in range(config.per_clip):
        dice = Dice(seed, index)
        t, top, left = (dice.integer(0, room) for room in spare)
        crop = video[:, t : t + config.frames, top : top + config.size, left : left + config.size]
        crops.append(crop.clone())
    return torch.stack(crops)


def cut_held_out(data: DataConfig, config: EvaluationConfig) -> dict[int, Tensor]:
    """The held-out crops of every short side: {side: [N, 3, T, size, size] in [-1, 1]}."""
    groups = {side: [] for side in config.sides}
    for seed, name in enumerate(data.held_out):
        for side, crops in groups.items():
            video = read_strided(Path(data.path) / name, side, config.stride)
            crops.append(cut_crops(video, config, seed))
    return {side: torch.cat(crops) for side, crops in groups.items() if crops}


def rounded_psnr(reconstruction: Tensor, video: Tensor) -> Tensor:
    """PSNR in dB of each frame as 8 bits hold it, [B, T]."""
    return psnr(quantize(reconstruction), quantize(video))


@torch.no_grad()
def measure(reconstruct: Reconstruct, crops: dict[int, Tensor]) -> dict[str, float]:
    """Mean PSNR of frames in dB for every short side, and `psnr`, the mean over all crops."""
    values = {
        str(side): torch.cat([rounded_psnr(reconstruct(crop[None]), crop[None]) for crop in group])
        for side, group in crops.items()
    }
    means = {side: float(psnr.mean()) for side, psnr in values.items()}
    return {**means, "psnr": float(torch.cat(list(values.values())).mean())}
