"""The evaluation step: metrics, latent statistics and a contact sheet of held-out crops.

The crops are random and the same in every evaluation. `odvae_core.evaluation` computes the metrics.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from odvae_core.evaluation import evaluate_crops
from odvae_core.vae import VideoVAE
from odvae_core.video import VideoReader, read_video

from .config import ConfigError, DataConfig, EvaluationConfig
from .contact_sheet import draw_contact_sheet
from .data import list_held_out
from .keyed_random import KeyedRandom


class LatentRecorder:
    """Reconstructs video from the posterior's mode, and keeps the latents for their statistics."""

    def __init__(self, vae: VideoVAE):
        self.vae, self.latents = vae, []
        self.device = next(vae.parameters()).device

    @torch.no_grad()
    def __call__(self, video: Tensor) -> Tensor:
        """The reconstruction of [B, 3, T, H, W], on the CPU."""
        latent = self.vae.encode(video.to(self.device)).mode()
        self.latents.append(latent.float().cpu().transpose(0, 1).flatten(1))
        return self.vae.decode(latent).float().cpu()

    def statistics(self) -> dict[str, list[float]]:
        """Mean and standard deviation of each latent channel over all calls."""
        values = torch.cat(self.latents, dim=1).double()
        return {"latent_mean": values.mean(1).tolist(), "latent_std": values.std(1).tolist()}


def evaluate_vae(vae: VideoVAE, crops: dict[int, Tensor]) -> dict[str, Any]:
    """Metrics and latent statistics of crops {short side: [N, 3, T, H, W] in [-1, 1]}."""
    recorder = LatentRecorder(vae)
    return {**evaluate_crops(recorder, crops), **recorder.statistics()}


def draw_held_out(vae: VideoVAE, crops: dict[int, Tensor], path: Path) -> None:
    """Draw the contact sheet of the crops of the largest short side."""
    largest = crops[max(crops)]
    reconstruct = LatentRecorder(vae)
    draw_contact_sheet(largest, torch.cat([reconstruct(crop) for crop in largest.split(1)]), path)


def cut_held_out(data: DataConfig, config: EvaluationConfig) -> dict[int, Tensor]:
    """The crops of a run's held-out clips, {} where it has none."""
    return cut_clips(list_held_out(data), config) if data.held_out else {}


def cut_clips(clips: Sequence[Path], config: EvaluationConfig) -> dict[int, Tensor]:
    """The crops of every short side: {side: [N, 3, T, size, size] in [-1, 1]}."""
    groups = {side: [] for side in config.sides}
    for seed, path in enumerate(clips):
        for side, crops in groups.items():
            video = read_strided(path, side, config.stride)
            crops.append(cut_crops(video, config, seed))
    return {side: torch.cat(crops) for side, crops in groups.items() if crops}


def read_strided(path: Path, side: int, stride: int) -> Tensor:
    """Every `stride`-th frame of a clip at this short side, [3, T, H, W] in [-1, 1].

    Clips are not enlarged: raises ConfigError where the clip is smaller.
    """
    with VideoReader(path) as reader:
        native = min(reader.size)
    if side > native:
        raise ConfigError(
            f"{path.name} has a short side of {native}, evaluation.sides has {side}: lower "
            "evaluation.sides, or hold out larger clips"
        )
    return read_video(path, short_side=side, stride=stride)[0]


def cut_crops(video: Tensor, config: EvaluationConfig, seed: int) -> Tensor:
    """Random crops of a clip [3, T, H, W] that depend on `seed` only: [N, 3, frames, size, size].

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
        rng = KeyedRandom(seed, index)
        t, top, left = (rng.integer(0, room) for room in spare)
        crop = video[:, t : t + config.frames, top : top + config.size, left : left + config.size]
        crops.append(crop.clone())
    return torch.stack(crops)
