"""Figure 4 of the OD-VAE paper, its four variants: quality after training, by operations."""

from __future__ import annotations

from .drawing import draw_curves, draw_points
from .experiment import Experiment
from .recipe import train_inflated
from .result import Check, ExperimentResult, Table
from .table_3 import VARIANTS, count_operations
from .training import TrainingResult

NEAR = 0.3
"""By how many dB variant 4 may be behind variant 1, at its fewer operations."""

TEXT = """\
The paper trades quality for speed in four variants and releases the fourth, 2D in the encoder's
outer levels alone. Here each is tail-inflated from the same 2D VAE and trained alike, at small
width; the operations are those of the full networks. What the decoder's outer 3D levels bring takes
more training than this: variant 4 ends {lead:+.2f} dB against variant 3, whose decoder has none,
and hundredths mean nothing."""


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
        TEXT.format(lead=encoder - both),
        [tabulate_variants(trainings, costs)],
        figures,
        [check_choice(whole, encoder)],
    )


def tabulate_variants(trainings: dict[str, TrainingResult], costs: dict[str, float]) -> Table:
    """PSNR over the steps beside the operations."""
    steps = list(next(iter(trainings.values())).evaluations)
    rows = [(name, costs[name], *training.curve()[1]) for name, training in trainings.items()]
    header = ("variant", "operations, TMAC", *map(str, steps))
    return Table("Held-out PSNR, dB, after so many steps", header, rows)


def check_choice(whole: float, encoder: float) -> Check:
    """Whether variant 4 is as near to variant 1 as its choice asks, by PSNR at the end."""
    return Check(
        f"variant 4 ends at most {NEAR} dB behind variant 1: {encoder - whole:+.2f} dB",
        encoder >= whole - NEAR,
    )
