"""Figure 4 of the OD-VAE paper: tail initialisation learns faster than average and random ones."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from .drawing import draw_curves
from .experiment import Experiment
from .recipe import train_inflated, train_parent
from .result import Check, ExperimentResult, Table
from .training import TrainingResult

INFLATIONS = ("tail", "average", "random")
AHEAD_OF_AVERAGE, AHEAD_OF_RANDOM = 0.5, 1.0
"""By how many dB tail initialisation must be ahead at the end."""

TEXT = """\
The paper starts its video VAE from a 2D one in three ways: the 2D kernel at the newest frame of the
3D kernel (tail), shared out over its frames (average), and not at all (random). Tail reconstructs
best after any number of steps. Here one 2D VAE, trained on frames of the clips to {parent:.2f} dB,
is the parent of all; samples, their order and the posterior's noise are the same."""


def compare_inflations(experiment: Experiment) -> ExperimentResult:
    """Train from one parent, inflated in each way."""
    parent = train_parent(experiment)
    trainings = {name: train_inflated(experiment, inflation=name) for name in INFLATIONS}
    curves = {name: training.curve() for name, training in trainings.items()}
    labels = "steps", "held-out PSNR, dB"
    figure = draw_curves(curves, labels, experiment.folder / "figure-4.png")
    return ExperimentResult(
        "Figure 4: tail, average and random initialisation",
        TEXT.format(parent=parent.last["psnr"]),
        [tabulate_steps(trainings), tabulate_frames(trainings)],
        [figure],
        check_order({name: training.last["psnr"] for name, training in trainings.items()}),
    )


def tabulate_steps(trainings: dict[str, TrainingResult]) -> Table:
    """PSNR over the steps."""
    steps = list(next(iter(trainings.values())).evaluations)
    rows = [(name, *training.curve()[1]) for name, training in trainings.items()]
    return Table("Held-out PSNR, dB, after so many steps", ("start", *map(str, steps)), rows)


def tabulate_frames(trainings: dict[str, TrainingResult]) -> Table:
    """PSNR of the first frame, which a causal network codes as a picture, and of the others."""
    rows = []
    for name, training in trainings.items():
        start, end = training.evaluations[0], training.last
        rows.append((name, *split_frames(start), *split_frames(end)))
    header = ("start", "frame 0, start", "later frames, start", "frame 0, end", "later frames, end")
    return Table("The first frame and the moving ones, PSNR, dB", header, rows)


def split_frames(evaluation: dict[str, Any]) -> tuple[float, float]:
    """PSNR of frame 0 and of all later frames: of each place in their groups there are as many."""
    first, *later = evaluation["positions"]
    return first, fmean(later)


def check_order(psnr: dict[str, float]) -> list[Check]:
    """What the figure shows, in numbers."""
    return [
        check_lead(psnr, "tail", "average", AHEAD_OF_AVERAGE),
        check_lead(psnr, "tail", "random", AHEAD_OF_RANDOM),
        check_lead(psnr, "average", "random", 0.0),
    ]


def check_lead(psnr: dict[str, float], first: str, second: str, least: float) -> Check:
    """Whether one start ends ahead of another by at least so many dB."""
    lead = psnr[first] - psnr[second]
    rule = f"{first} ends ahead of {second} by {least} dB or more: {lead:+.2f} dB"
    return Check(rule, lead >= least)
