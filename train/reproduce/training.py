"""The small trainings of the experiments, and their evaluations.

OD-VAE's experiments share a 2D parent and what is inflated from it: the paper's network with a
width of 16 instead of 128 and one block a level instead of two, on clips of nine frames of 64x64.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..config import (
    Config,
    EmaConfig,
    EvaluationConfig,
    LossConfig,
    ModelConfig,
    OptimiserConfig,
    Phase,
    RunConfig,
)
from ..loop import train_run
from ..run import Run
from ..run_log import read_events
from .experiment import SIDE, Experiment

PROTOCOL = EvaluationConfig(sides=(SIDE,), per_clip=4, frames=9, size=64, stride=2)
"""The crops of evaluations."""

PAPER = "odvae-v1.2"
"""The paper's model, its variant 4."""

SMALL = {"width": 16, "blocks": 1, "norm_groups": 8}
"""Overrides of a preset for a small network."""

FRAMES, SIZE = 9, 64
PARENT = Phase(until_step=1200, batch=16, frames=1, size=SIZE)
PARENT_EVERY = 400
# Muon, like the embedded model's parent: after 600 steps it was 2 dB better than Adam at 2e-3.
PARENT_OPTIMISER = OptimiserConfig("muon", 6e-3, schedule="cosine", warm_up=20, final=0.02)

INFLATED = Phase(until_step=80, batch=4, frames=FRAMES, size=SIZE)
INFLATED_EVERY = 20
INFLATED_OPTIMISER = OptimiserConfig("adam", 1e-4)
"""The highest rate of Adam at which pretrained VAEs did not get worse."""


@dataclass(frozen=True)
class TrainingResult:
    """A run's averaged weights, and its evaluations by step, from step 0 on.

    An evaluation is a log event with the metrics of `evaluate_crops`.
    """

    weights: Path
    evaluations: dict[int, dict[str, Any]]

    @property
    def last(self) -> dict[str, Any]:
        """The last evaluation."""
        return self.evaluations[max(self.evaluations)]

    def curve(self, metric: str = "psnr") -> tuple[list[int], list[float]]:
        """The steps, and a metric at each."""
        return list(self.evaluations), [values[metric] for values in self.evaluations.values()]


def configure_training(
    experiment: Experiment,
    name: str,
    model: ModelConfig,
    phase: Phase,
    optimiser: OptimiserConfig,
    every: int,
    **changes: Any,
) -> Config:
    """A run of one phase, evaluated every `every` steps; `changes` replace whole sections.

    `phase.until_step` and `every` are multiplied by `steps_factor`. Different configurations have
    different folders.
    """
    steps = experiment.scale_steps(phase.until_step)
    config = Config(
        model=model,
        data=experiment.make_data_config(),
        loss=LossConfig(),
        optimiser=optimiser,
        ema=EmaConfig(decay=0.95, warm_up=True),
        phases=(replace(phase, until_step=steps),),
        evaluation=PROTOCOL,
        run=RunConfig(
            seed=experiment.seed,
            evaluate_every=min(steps, experiment.scale_steps(every)),
            save_every=steps,
            keep=1,
        ),
    )
    config = replace(config, **changes)
    digest = hashlib.sha256(repr(config).encode()).hexdigest()[:8]
    folder = str(experiment.folder / f"{name}-{digest}")
    return replace(config, run=replace(config.run, folder=folder))


def train_to_end(config: Config) -> TrainingResult:
    """Train to the end, or resume an interrupted training; the initial weights are evaluated too.

    Raises KeyboardInterrupt where a signal stopped the run.
    """
    run = Run(config)
    run.resume()
    if run.step < config.steps:
        train_run(run)
    if run.step < config.steps:  # a signal stopped the run, which is saved
        raise KeyboardInterrupt
    events = read_events(run.folder / "log.jsonl")
    evaluations = {event["step"]: event for event in events if event["event"] == "evaluation"}
    return TrainingResult(run.folder / "ema.safetensors", evaluations)


def train_parent(experiment: Experiment) -> TrainingResult:
    """The 2D VAE, trained on single frames."""
    model = ModelConfig(PAPER, SMALL, images=True)
    config = configure_training(experiment, "parent", model, PARENT, PARENT_OPTIMISER, PARENT_EVERY)
    return train_to_end(config)


def train_inflated(
    experiment: Experiment, preset: str = PAPER, inflation: str = "tail"
) -> TrainingResult:
    """A video VAE, inflated from the 2D one; all are trained on the same samples and noise."""
    parent = str(train_parent(experiment).weights)
    model = ModelConfig(preset, SMALL, parent=parent, inflation=inflation)
    name = f"{preset}-{inflation}"
    config = configure_training(
        experiment, name, model, INFLATED, INFLATED_OPTIMISER, INFLATED_EVERY
    )
    return train_to_end(config)
