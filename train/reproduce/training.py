"""A small training run, and how the quality of its held-out crops went."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from odvae_core.vae import VideoVAE

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
from ..evaluation import cut_held_out
from ..loop import train_run
from ..run import Run
from ..run_log import read_events
from .experiment import SIDE, Experiment

PROTOCOL = EvaluationConfig(sides=(SIDE,), per_clip=4, frames=9, size=64, stride=2)
"""What runs are evaluated on."""


@dataclass(frozen=True)
class TrainingResult:
    """What a run gave: averaged weights, and its evaluations by step, 0 being the start.

    An evaluation has what `evaluate_crops` gives.
    """

    weights: Path
    evaluations: dict[int, dict[str, Any]]

    @property
    def last(self) -> dict[str, Any]:
        """The evaluation at the end."""
        return self.evaluations[max(self.evaluations)]

    def curve(self, figure: str = "psnr") -> tuple[list[int], list[float]]:
        """The steps, and one figure at each."""
        return list(self.evaluations), [values[figure] for values in self.evaluations.values()]


def configure_training(
    experiment: Experiment,
    name: str,
    model: ModelConfig,
    phase: Phase,
    optimiser: OptimiserConfig,
    every: int,
    **changes: Any,
) -> Config:
    """A run of one phase, evaluated `every` so many steps; `changes` replace whole sections.

    `phase.until_step` and `every` are for a `steps_factor` of 1. Two configurations that differ
    have two folders.
    """
    steps = experiment.steps(phase.until_step)
    config = Config(
        model=model,
        data=experiment.data(),
        loss=LossConfig(),
        optimiser=optimiser,
        ema=EmaConfig(decay=0.95, warm_up=True),
        phases=(replace(phase, until_step=steps),),
        evaluation=PROTOCOL,
        run=RunConfig(
            seed=experiment.seed,
            evaluate_every=min(steps, experiment.steps(every)),
            save_every=steps,
            keep=1,
        ),
    )
    config = replace(config, **changes)
    digest = hashlib.sha256(repr(config).encode()).hexdigest()[:8]
    folder = str(experiment.folder / f"{name}-{digest}")
    return replace(config, run=replace(config.run, folder=folder))


def train_to_end(config: Config, adapt: Callable[[VideoVAE], None] | None = None) -> TrainingResult:
    """Evaluate the start, train to the end, or go on where an earlier call was interrupted.

    `adapt` changes what layers do, not what weights there are: what no configuration can say.
    Raises KeyboardInterrupt where a signal ended the run before its time.
    """
    run = Run(config)
    if adapt is not None:
        adapt(run.vae)
    run.resume()
    if run.step == 0:
        run.evaluate(cut_held_out(config.data, config.evaluation))
    if run.step < config.steps:
        train_run(run)
    if run.step < config.steps:  # a signal: the run was saved, and what follows needs its end
        raise KeyboardInterrupt
    events = read_events(run.folder / "log.jsonl")
    evaluations = {event["step"]: event for event in events if event["event"] == "evaluation"}
    return TrainingResult(run.folder / "ema.safetensors", evaluations)
