"""Held-out crops: random ones, but the same every time; `odvae_core.evaluation` measures them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from odvae_core.video import VideoReader, read_video

from .config import ConfigError, EvaluationConfig
from .config_data import DataConfig
from .data import list_held_out
from .dice import Dice


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
    """The crops of a run's held-out clips, if it holds any out."""
    return cut_all(list_held_out(data), config) if data.held_out else {}


def cut_all(clips: Sequence[Path], config: EvaluationConfig) -> dict[int, Tensor]:
    """The crops of every short side: {side: [N, 3, T, size, size] in [-1, 1]}."""
    groups = {side: [] for side in config.sides}
    for seed, path in enumerate(clips):
        for side, crops in groups.items():
            video = read_strided(path, side, config.stride)
            crops.append(cut_crops(video, config, seed))
    return {side: torch.cat(crops) for side, crops in groups.items() if crops}
