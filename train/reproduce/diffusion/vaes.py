"""The VAEs of the rows, trained on the shapes, and the latents that they make of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

import odvae_core
from odvae_core import Whole, Windows
from odvae_core.schedules import Schedule
from odvae_core.vae import VideoVAE

from ...config import Config, EmaConfig, LossConfig, ModelConfig, OptimiserConfig, Phase, RunConfig
from ...data.shapes import SHAPES, draw_shape_clips
from ...diffusion.latents import Latents
from ...run import Run
from ..training import PAPER, SMALL
from .settings import Row, Settings

STILLS_KEY, VIDEO_KEY = 72, 73
"""The first numbers of the random keys of the VAEs' training clips."""

STILLS_BATCH, VIDEO_BATCH = 16, 4
STILLS_OPTIMISER = OptimiserConfig("muon", 6e-3, schedule="cosine", warm_up=20, final=0.02)
VIDEO_OPTIMISER = OptimiserConfig("muon", 2e-3, schedule="cosine", warm_up=20, final=0.02)


@dataclass(frozen=True)
class Setup:
    """The folder, the seed and the sizes of an experiment."""

    folder: Path
    seed: int
    settings: Settings

    def name_run(self, name: str, *values: object) -> Path:
        """The folder of a training; other settings have another one."""
        digest = hashlib.sha256(repr((self.seed, self.settings, values)).encode()).hexdigest()[:8]
        return self.folder / f"{name.replace(' ', '-').replace(',', '')}-{digest}"


def choose_schedule(row: Row) -> Schedule:
    """How the row's VAE codes a clip."""
    return Windows(row.window) if row.window else Whole()


def train_row_vae(setup: Setup, row: Row) -> VideoVAE:
    """The row's VAE: the 2D one, trained on stills, or a video VAE that starts from it."""
    settings = setup.settings
    stills = Phase(settings.image_steps, STILLS_BATCH, 1, settings.size)
    images = ModelConfig(PAPER, SMALL, images=True)
    parent = train_vae(setup, images, stills, STILLS_OPTIMISER, STILLS_KEY)
    if row.images:
        return odvae_core.load(parent)
    model = ModelConfig(row.preset, SMALL, parent=str(parent), inflation=row.inflation)
    clips = Phase(settings.video_steps, VIDEO_BATCH, settings.frames, settings.size)
    return odvae_core.load(train_vae(setup, model, clips, VIDEO_OPTIMISER, VIDEO_KEY))


def train_vae(
    setup: Setup, model: ModelConfig, phase: Phase, optimiser: OptimiserConfig, key: int
) -> Path:
    """Train a VAE on clips that are each seen once, unless its folder holds it: its weights."""
    folder = setup.name_run("vae", model, phase)
    weights = folder / "ema.safetensors"
    if not weights.exists():
        config = Config(
            model=model,
            loss=LossConfig(),
            optimiser=optimiser,
            ema=EmaConfig(decay=0.95, warm_up=True),
            phases=(phase,),
            run=RunConfig(folder=str(folder), seed=setup.seed, precision="no"),
        )
        run = Run(config)
        indices = range(phase.batch)
        while run.step < config.steps:
            video, _ = draw_shape_clips(
                (key, setup.seed, run.step), phase.batch, phase.frames, phase.size
            )
            run.train_step(video, indices)
        run.evaluate({})
    return weights


@torch.no_grad()
def encode_clips(vae: VideoVAE, clips: Tensor, labels: Tensor, row: Row) -> Latents:
    """The latents of clips [N, 3, T, H, W] as a training takes them, scaled by 1 / deviation."""
    posteriors = [vae.encode(clip, choose_schedule(row)) for clip in clips.split(1)]
    means = tuple(posterior.mean[0] for posterior in posteriors)
    deviation = float(torch.stack(means).std())
    assert vae.provenance is not None
    facts = {
        "family": vae.family,
        "checkpoint_sha256": vae.provenance.sha256,
        "latent_channels": vae.latent_channels,
        "temporal_compression": vae.temporal_compression,
        "spatial_compression": vae.spatial_compression,
    }
    return Latents(
        means,
        tuple(posterior.logvar[0] for posterior in posteriors),
        tuple(labels.tolist()),
        tuple(SHAPES),
        1 / deviation,
        0.0,
        facts,
        facts["checkpoint_sha256"],
    )


@torch.no_grad()
def decode_latents(vae: VideoVAE, latents: Tensor, row: Row) -> Tensor:
    """Clips [N, 3, T, H, W] in [-1, 1] of latents [N, C, T, h, w]."""
    clips = [vae.decode(latent, choose_schedule(row)) for latent in latents.split(1)]
    return torch.cat(clips).clamp(-1, 1)


def shrink(settings: Settings, factor: float) -> Settings:
    """The same experiment with so many times the steps of all trainings, at least two."""
    names = ("image_steps", "video_steps", "classifier_steps", "steps")
    steps = {name: max(2, round(getattr(settings, name) * factor)) for name in names}
    return replace(settings, **steps)
