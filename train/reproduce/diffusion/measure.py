"""One row: a Latte trained on a VAE's latents, its cost, and the quality of its decoded samples."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from odvae_core.metrics import frechet_distance, kernel_distance
from odvae_core.planning.tracker import MemoryTracker

from ...config_sections import EmaConfig, OptimiserConfig, RunConfig
from ...data.shapes import draw_shape_clips
from ...diffusion.batches import BatchMaker
from ...diffusion.config import DiffusionConfig, LatentsConfig, ModelConfig, StepsConfig
from ...diffusion.latents import Latents
from ...diffusion.loop import train_run
from ...diffusion.run import DiffusionRun
from ...diffusion.samples import sample_latents
from ...diffusion.sheet import draw_clips
from ...run_log import read_events
from .classifier import ShapeClassifier, compute_features, measure_accuracy
from .settings import Row
from .vaes import Setup, decode_latents, encode_clips, train_row_vae

TRAINING_KEY, REAL_KEY = 74, 75
"""The first numbers of the random keys of clips: those that are trained on, and the others."""

SHEET = 8
"""Sampled clips that are drawn."""

Features = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Reference:
    """Real clips with their labels, the classifier, and I3D where its file is given."""

    real: Tensor
    labels: Tensor
    classifier: ShapeClassifier
    i3d: Features | None = None


@dataclass(frozen=True)
class RowResult:
    """The measures of a row; memory in MiB, distances to the real clips.

    `ceiling` is the distance of the VAE's reconstructions of the real clips.
    """

    tokens: int
    memory: float
    steps_per_second: float
    distance: float
    ceiling: float
    accuracy: float
    fvd: float | None = None
    kvd: float | None = None


def measure_row(setup: Setup, row: Row, reference: Reference) -> RowResult:
    """Train the row's VAE and Latte, unless their folders hold them, and measure."""
    settings = setup.settings
    vae = train_row_vae(setup, row)
    clips, labels = draw_shape_clips(
        (TRAINING_KEY, setup.seed), settings.clips, settings.frames, settings.size
    )
    run = DiffusionRun(configure_latte(setup, row), encode_clips(vae, clips, labels, row))
    memory = measure_memory(run)
    train_run(run)
    if run.step < run.config.steps:  # a signal stopped the run, which is saved
        raise KeyboardInterrupt
    sampled = sample_clips(run, setup, row)
    draw_clips(sampled[:SHEET], setup.folder / f"{run.folder.name}.png")
    codes = encode_clips(vae, reference.real, reference.labels, row)
    reconstructed = decode_latents(vae, torch.stack(codes.means), row)
    real = compute_features(reference.classifier, reference.real)
    distance, ceiling = (
        frechet_distance(compute_features(reference.classifier, made), real)
        for made in (sampled, reconstructed)
    )
    return RowResult(
        count_tokens(run.latents, run.network.config.patch_size),
        memory,
        measure_speed(run),
        distance,
        ceiling,
        measure_accuracy(reference.classifier, sampled, reference.labels),
        *measure_i3d(reference, sampled),
    )


def configure_latte(setup: Setup, row: Row) -> DiffusionConfig:
    """The training of a row's Latte."""
    settings = setup.settings
    folder = setup.name_run(row.name, row)
    steps = settings.steps
    return DiffusionConfig(
        ModelConfig(settings.preset, settings.network),
        LatentsConfig(str(folder), "folder"),
        StepsConfig(steps, settings.batch),
        OptimiserConfig("adamw", settings.rate, warm_up=50, schedule="cosine", clip=1.0),
        EmaConfig(0.995, warm_up=True),
        run=RunConfig(
            str(folder),
            setup.seed,
            "no",
            evaluate_every=steps,
            save_every=250,
            log_every=1,
            keep=1,
        ),
    )


def measure_memory(run: DiffusionRun) -> float:
    """The memory of a training step in MiB: weights, averages, moments, and the step's own tensors.

    On a GPU what PyTorch allocated at most; elsewhere counted. The run is not changed.
    """
    on_gpu = run.device.type == "cuda"
    batch = BatchMaker(run.latents, run.config.training.batch, 0, 0.0).draw(
        0, range(run.config.training.batch)
    )
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    with nullcontext() if on_gpu else MemoryTracker() as tracker:
        run.add_gradients(batch.to(run.device))
    run.trained.optimiser.zero_grad()
    weights = sum(weight.nbytes for weight in run.network.parameters())
    if tracker is None:
        return (torch.cuda.max_memory_allocated() + 2 * weights) / 2**20  # Adam's two moments
    return (tracker.peak["cpu"] + 4 * weights) / 2**20  # those, the weights and their average


def measure_speed(run: DiffusionRun) -> float:
    """Steps a second: the median over the logged ones."""
    events = read_events(run.folder / "log.jsonl")
    seconds = [event["seconds_per_step"] for event in events if event["event"] == "step"]
    return 1 / max(1e-3, median(seconds))


def count_tokens(latents: Latents, patch: int) -> int:
    """The tokens of a clip."""
    _, frames, height, width = latents.shape
    return frames * height * width // patch**2


@torch.no_grad()
def sample_clips(run: DiffusionRun, setup: Setup, row: Row) -> Tensor:
    """As many clips as there are real ones, of the same labels in the same order."""
    settings = setup.settings
    labels = [number % len(run.latents.classes) for number in range(settings.samples)]
    with run.ema.swapped_in(run.network):
        parts = [
            sample_latents(
                run.network,
                range(start, min(start + settings.batch, settings.samples)),
                settings.sampling_steps,
                labels[start : start + settings.batch],
                settings.guidance,
            )
            for start in range(0, settings.samples, settings.batch)
        ]
    return decode_latents(train_row_vae(setup, row), torch.cat(parts).cpu(), row)


def measure_i3d(reference: Reference, sampled: Tensor) -> tuple[float | None, float | None]:
    """FVD and KVD, where I3D's file is given."""
    if reference.i3d is None:
        return None, None
    made, real = (
        torch.cat([reference.i3d(part) for part in clips.split(8)])
        for clips in (sampled, reference.real)
    )
    return frechet_distance(made, real), kernel_distance(made, real)
