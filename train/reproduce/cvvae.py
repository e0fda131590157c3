"""CV-VAE's mapping functions: the frame with which the 2D decoder's output is compared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

import odvae_core
from odvae_core.metrics import psnr, quantize

from ..config import ImageSpaceConfig, ModelConfig, Phase
from .drawing import draw_points
from .experiment import Check, Experiment, ExperimentResult, Table
from .training import (
    FRAMES,
    PAPER,
    PARENT,
    PARENT_EVERY,
    PARENT_OPTIMISER,
    PROTOCOL,
    SIZE,
    SMALL,
    TrainingResult,
    configure_training,
    train_to_end,
)

LEVELS = [
    {"channels": 16, "down": "joint", "up": ""},
    {"channels": 32, "down": "space", "up": "joint"},
    {"channels": 64, "down": "joint", "up": "space"},
    {"channels": 64, "down": "", "up": "joint"},
]
"""The published levels at an eighth of their width."""

NETWORK = ModelConfig("cvvae", {"levels": LEVELS, "blocks": 1, "norm_groups": 8})
IMAGES = replace(PARENT, until_step=600)
CLIPS = Phase(until_step=60, batch=4, frames=FRAMES, size=SIZE)
EVERY = 30
MAPPINGS = ("slice", "mean", "random")
NONE = "none"
TEXT = """\
CV-VAE trains a video latent that a frozen 2D VAE can decode: the 2D decoder's output for each
latent frame is compared with a frame of its group of four, the last (slice), their mean, or a
random one. The authors find that random is best, and that the latent spaces differ strongly without
this loss. Here the paper's network at an eighth of its width is trained from random weights, four
times with the same samples, noise and steps, with a 2D VAE of the clips' frames ({parent:.2f} dB).
The distance of the latent spaces is measured in both directions: the frozen 2D decoder on the video
encoder's latents, against the nearest frame of each group; and the video decoder on the 2D
encoder's latents of every fourth frame, against all frames."""


@dataclass(frozen=True)
class Distance:
    """The agreement of two latent spaces: PSNR in dB of each decoder on the other's latents."""

    image_decoder: float
    video_decoder: float


def compare_mappings(experiment: Experiment) -> ExperimentResult:
    """Train a CV-VAE with each mapping function, and without."""
    parent = train_image_vae(experiment)
    trainings = {name: train_cvvae(experiment, parent.weights, name) for name in (*MAPPINGS, NONE)}
    crops = experiment.cut_crops(PROTOCOL)
    distances = {
        name: measure_distance(training.weights, parent.weights, crops)
        for name, training in trainings.items()
    }
    ends = {name: training.last["psnr"] for name, training in trainings.items()}
    points = {name: (distances[name].image_decoder, ends[name]) for name in trainings}
    labels = "2D decoder on video latents, dB", "reconstruction, dB"
    figure = draw_points(points, labels, experiment.folder / "families-mappings.png")
    return ExperimentResult(
        "CV-VAE: mapping functions",
        TEXT.format(parent=parent.last["psnr"]),
        [tabulate_mappings(ends, distances)],
        [figure],
        [check_distances(distances), check_random(ends)],
    )


def train_image_vae(experiment: Experiment) -> TrainingResult:
    """The 2D VAE that stays frozen."""
    model = ModelConfig(PAPER, SMALL, images=True)
    config = configure_training(
        experiment, "cvvae-image", model, IMAGES, PARENT_OPTIMISER, PARENT_EVERY
    )
    return train_to_end(config)


def train_cvvae(experiment: Experiment, image_vae: Path, mapping: str) -> TrainingResult:
    """A CV-VAE, trained with a frozen 2D VAE or without."""
    space = ImageSpaceConfig()
    if mapping != NONE:
        space = ImageSpaceConfig(vae=str(image_vae), mapping=mapping)
    name = f"cvvae-{mapping}"
    config = configure_training(
        experiment, name, NETWORK, CLIPS, PARENT_OPTIMISER, EVERY, image_space=space
    )
    return train_to_end(config)


@torch.no_grad()
def measure_distance(video_file: Path, image_file: Path, crops: Tensor) -> Distance:
    """PSNR of the 2D decoder on video latents, and of the video decoder on 2D latents."""
    vae, image_vae = odvae_core.load(video_file), odvae_core.load(image_file)
    group, values = vae.temporal_compression, []
    for crop in crops.split(1):
        pictures = quantize(image_vae.decode(vae.encode(crop).mode()))
        video = quantize(vae.decode(image_vae.encode(crop[:, :, ::group]).mode()))
        values.append(
            (compare_nearest(pictures, crop, group).mean(), psnr(video, quantize(crop)).mean())
        )
    means = torch.tensor(values).mean(0).tolist()
    return Distance(*means)


def compare_nearest(pictures: Tensor, video: Tensor, group: int) -> Tensor:
    """PSNR [B, 1 + k] of pictures against the nearest frame of each group.

    pictures [B, 3, 1 + k, H, W], video [B, 3, 1 + k group, H, W]: frame 0, then groups.
    """
    video = quantize(video)
    candidates = [psnr(pictures[:, :, 1:], video[:, :, 1 + i :: group]) for i in range(group)]
    return torch.cat(
        [psnr(pictures[:, :, :1], video[:, :, :1]), torch.stack(candidates).amax(0)], 1
    )


def tabulate_mappings(ends: dict[str, float], distances: dict[str, Distance]) -> Table:
    """A row for each mapping."""
    rows = [
        (name, psnr, distances[name].image_decoder, distances[name].video_decoder)
        for name, psnr in ends.items()
    ]
    header = ("mapping", "reconstruction", "2D decoder, video latents", "video decoder, 2D latents")
    return Table("Held-out PSNR, dB", header, rows)


def check_random(ends: dict[str, float]) -> Check:
    """Whether random frames give the best reconstruction, as the authors find."""
    lead = ends["random"] - max(ends[name] for name in MAPPINGS if name != "random")
    return Check(
        f"random frames end ahead of the better of the other mappings: {lead:+.2f} dB", lead > 0
    )


def check_distances(distances: dict[str, Distance]) -> Check:
    """Whether the 2D decoder works better on the latents of every mapping than without."""
    near = min(distances[name].image_decoder for name in MAPPINGS)
    far = distances[NONE].image_decoder
    return Check(
        f"the 2D decoder reconstructs latents trained with each mapping better: {near:.2f} dB "
        f"or more, without {far:.2f} dB",
        near > far,
    )
