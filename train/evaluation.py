"""The evaluation step: metrics, latent statistics and a contact sheet of held-out crops.

The crops are random and the same in every evaluation. Each process reads and reconstructs its part
of the clips; `odvae_core.evaluation` computes the metrics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from odvae_core.evaluation import CropScores, score_crops
from odvae_core.vae import VideoVAE
from odvae_core.video import VideoReader

from .config import ConfigError, DataConfig, EvaluationConfig
from .contact_sheet import draw_contact_sheet
from .data import list_held_out
from .data.clips import FileClip
from .data.probing import probe_clip
from .keyed_random import KeyedRandom

CHUNK = 8
"""Frames that are in memory at full size while they are cropped."""


@dataclass
class EvaluationPart:
    """What one process found for its crops; the parts of all processes make an evaluation.

    `latents`: count, sum and sum of squares of each latent channel, [3, C] in float64. `pairs`:
    original and reconstruction of some crops at the largest short side, uint8 [2, 3, T, H, W].
    """

    scores: CropScores = field(default_factory=CropScores)
    latents: Tensor | int = 0
    pairs: list[Tensor] = field(default_factory=list)

    def extend(self, other: EvaluationPart) -> None:
        """Add another process's part."""
        self.scores.extend(other.scores)
        self.latents = self.latents + other.latents
        self.pairs += other.pairs

    def summary(self) -> dict[str, Any]:
        """Metrics, and mean and standard deviation of each latent channel."""
        assert isinstance(self.latents, Tensor), "there is one crop or more"
        count, total, squares = self.latents
        mean = total / count
        variance = (squares - count * mean.square()) / (count - 1)
        statistics = {"latent_mean": mean, "latent_std": variance.clamp_min(0).sqrt()}
        values = {name: channels.tolist() for name, channels in statistics.items()}
        return {**self.scores.summary(), **values}

    def draw(self, path: Path) -> None:
        """Draw the contact sheet."""
        originals, reconstructions = torch.stack(self.pairs).float().div(127.5).sub(1).unbind(1)
        draw_contact_sheet(originals, reconstructions, path)


def evaluate_part(vae: VideoVAE, crops: dict[int, Tensor], rows: int) -> EvaluationPart:
    """Evaluate crops {short side: [N, 3, T, H, W] in [-1, 1]}, reconstructed from the mode.

    At most `rows` of them are kept for the contact sheet.
    """
    part, device = EvaluationPart(), next(vae.parameters()).device
    shown: list[Tensor] = []

    def reconstruct(video: Tensor) -> Tensor:
        latent = vae.encode(video.to(device)).mode()
        channels = latent.double().transpose(0, 1).flatten(1).cpu()
        count = torch.full((len(channels),), channels.shape[1], dtype=torch.float64)
        sums = torch.stack([count, channels.sum(1), channels.square().sum(1)])
        part.latents = part.latents + sums
        result = vae.decode(latent).float().cpu()
        shown.append(quantize_pair(video, result))
        return result

    part.scores = score_crops(reconstruct, dict(sorted(crops.items())))
    part.pairs = shown[len(shown) - len(crops[max(crops)]) :][:rows] if shown else []
    return part


def quantize_pair(video: Tensor, reconstruction: Tensor) -> Tensor:
    """One clip [1, 3, T, H, W] and its reconstruction as uint8 [2, 3, T, H, W]."""
    joined = torch.cat([video, reconstruction]).nan_to_num()
    return ((joined.clamp(-1, 1) + 1) * 127.5).round().byte()


def cut_held_out(data: DataConfig, config: EvaluationConfig) -> dict[int, Tensor]:
    """The crops of the clips that `data.held_out` names, {} where it names none."""
    named = [entry.file for entry in list_held_out(data)] if data.held_out else []
    return cut_clips(named, config)


def cut_clips(clips: Sequence[Path], config: EvaluationConfig) -> dict[int, Tensor]:
    """The crops of files at every short side: {side: [N, 3, T, size, size] in [-1, 1]}."""
    return read_crops([open_file(path) for path in clips], config)


def open_file(path: Path) -> FileClip:
    """The whole of a file as a clip."""
    facts = probe_clip(path)
    return FileClip(path.name, path, facts, 0, facts.frames)


def read_crops(
    clips: Sequence[FileClip], config: EvaluationConfig, rank: int = 0, world: int = 1
) -> dict[int, Tensor]:
    """One process's crops of held-out clips: {side: [N, 3, T, size, size] in [-1, 1]}.

    A crop depends on its clip's position in the list only. Raises ConfigError where a clip is too
    small or too short.
    """
    crops: dict[int, list[Tensor]] = {side: [] for side in config.sides}
    for seed in range(rank, len(clips), world):
        for side, group in crops.items():
            group += [
                read_crop(clips[seed], side, config, (seed, i)) for i in range(config.per_clip)
            ]
    return {side: torch.stack(group) for side, group in crops.items() if group}


def read_crop(clip: FileClip, side: int, config: EvaluationConfig, key: tuple[int, int]) -> Tensor:
    """A random crop of a clip that depends on `key`, read from its first frame on: [3, T, H, W]."""
    if side > clip.side:
        raise ConfigError(
            f"{clip.name} has a short side of {clip.side}, evaluation.sides has {side}: lower "
            "evaluation.sides, or hold out larger clips"
        )
    with VideoReader(clip.path, short_side=side) as whole:
        shape = 1 + (clip.frames - 1) // config.stride, *whole.size
    first, top, left = draw_corner(shape, config, key)
    reader = VideoReader(
        clip.path,
        short_side=side,
        start=clip.facts.time_before(first * config.stride),
        frames=config.frames,
        stride=config.stride,
    )
    with reader:
        pieces = [
            chunk.video[0, :, :, top : top + config.size, left : left + config.size].clone()
            for chunk in reader.chunks(CHUNK)
        ]
    return torch.cat(pieces, dim=1)


def draw_corner(
    shape: tuple[int, int, int], config: EvaluationConfig, key: tuple[int, int]
) -> list[int]:
    """First frame, row and column of a crop in a clip of `shape` frames, height and width.

    Frames count those at the stride. Raises ConfigError where the clip is too small or too short.
    """
    wanted = (config.frames, config.size, config.size)
    spare = [have - want for have, want in zip(shape, wanted, strict=True)]
    if min(spare) < 0:
        raise ConfigError(
            f"got a held-out clip of {list(shape)} frames, height and width at stride "
            f"{config.stride}; evaluation cuts {list(wanted)}: make its crops smaller"
        )
    rng = KeyedRandom(*key)
    return [rng.integer(0, room) for room in spare]
