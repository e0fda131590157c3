"""Figure 4 of the OD-VAE paper: the initialisations, and the four variants."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from .drawing import draw_curves, draw_points
from .experiment import Check, Experiment, ExperimentResult, Table
from .table_3 import VARIANTS, count_operations
from .training import TrainingResult, train_inflated, train_parent

INFLATIONS = ("tail", "average", "random")
AHEAD_OF_AVERAGE, AHEAD_OF_RANDOM = 0.5, 1.0
"""The smallest lead of tail initialisation at the end, in dB."""

INFLATIONS_TEXT = """\
The paper starts its video VAE from a 2D one in three ways: the 2D kernel at the newest frame of the
3D kernel (tail), divided over its frames (average), and not at all (random). Tail reconstructs best
after any number of steps. Here one 2D VAE, trained on frames of the clips to {parent:.2f} dB, is
the parent of all; samples, their order and the posterior's noise are the same."""

NEAR = 0.1
"""The largest deficit of variant 4 against variant 1, in dB."""

VARIANTS_TEXT = """\
The paper trades quality for speed in four variants and releases the fourth, which is 2D in the
encoder's outer levels only. Here each is tail-inflated from the same 2D VAE and trained with the
same settings, at small width; the operations are those of the full networks. This training is too
short to show the benefit of the decoder's outer 3D levels: variant 4 ends {lead:+.2f} dB against
variant 3, whose decoder has none, and differences of 0.01 dB are not significant."""


def compare_inflations(experiment: Experiment) -> ExperimentResult:
    """Train a video VAE with each initialisation, from one parent."""
    parent = train_parent(experiment)
    trainings = {name: train_inflated(experiment, inflation=name) for name in INFLATIONS}
    curves = {name: training.curve() for name, training in trainings.items()}
    labels = "steps", "held-out PSNR, dB"
    figure = draw_curves(curves, labels, experiment.folder / "figure-4.png")
    return ExperimentResult(
        "Figure 4: tail, average and random initialisation",
        INFLATIONS_TEXT.format(parent=parent.last["psnr"]),
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
    """PSNR of frame 0, and the mean of the positions in a group, which have equally many frames."""
    first, *later = evaluation["positions"]
    return first, fmean(later)


def check_order(psnr: dict[str, float]) -> list[Check]:
    """The order of the initialisations that the figure shows."""
    return [
        check_lead(psnr, "tail", "average", AHEAD_OF_AVERAGE),
        check_lead(psnr, "tail", "random", AHEAD_OF_RANDOM),
        check_lead(psnr, "average", "random", 0.0),
    ]


def check_lead(psnr: dict[str, float], first: str, second: str, least: float) -> Check:
    """Whether one initialisation ends ahead of another by at least `least` dB."""
    lead = psnr[first] - psnr[second]
    rule = f"{first} ends ahead of {second} by {least} dB or more: {lead:+.2f} dB"
    return Check(rule, lead >= least)


def compare_variants(experiment: Experiment) -> ExperimentResult:
    """Train each variant from the same parent."""
    trainings = {name: train_inflated(experiment, preset) for name, preset in VARIANTS.items()}
    costs = {name: sum(count_operations(preset)) for name, preset in VARIANTS.items()}
    ends = {name: training.last["psnr"] for name, training in trainings.items()}
    whole, _, both, encoder = ends.values()
    curves = {name: training.curve() for name, training in trainings.items()}
    points = {name: (costs[name], ends[name]) for name in VARIANTS}
    psnr = "held-out PSNR, dB"
    figures = [
        draw_curves(curves, ("steps", psnr), experiment.folder / "figure-4-variants.png"),
        draw_points(
            points, ("operations, TMAC", psnr), experiment.folder / "figure-4-operations.png"
        ),
    ]
    return ExperimentResult(
        "Figure 4: the four variants",
        VARIANTS_TEXT.format(lead=encoder - both),
        [tabulate_variants(trainings, costs)],
        figures,
        [check_choice(whole, encoder)],
    )


def tabulate_variants(trainings: dict[str, TrainingResult], costs: dict[str, float]) -> Table:
    """Operations, and PSNR over the steps."""
    steps = list(next(iter(trainings.values())).evaluations)
    rows = [(name, costs[name], *training.curve()[1]) for name, training in trainings.items()]
    header = ("variant", "operations, TMAC", *map(str, steps))
    return Table("Held-out PSNR, dB, after so many steps", header, rows)


def check_choice(whole: float, encoder: float) -> Check:
    """Whether the PSNR of variant 4 at the end is close to that of variant 1."""
    return Check(
        f"variant 4 ends at most {NEAR} dB behind variant 1: {encoder - whole:+.2f} dB",
        encoder >= whole - NEAR,
    )
