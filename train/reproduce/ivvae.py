"""IV-VAE's experiments: its ablation, and 2D parents with all or half of the latent channels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..config import ModelConfig, OptimiserConfig
from .drawing import draw_curves
from .experiment import Check, Experiment, ExperimentResult, Table
from .figure_4 import split_frames, tabulate_frames, tabulate_steps
from .training import (
    INFLATED,
    PARENT,
    PARENT_EVERY,
    PARENT_OPTIMISER,
    TrainingResult,
    configure_training,
    train_to_end,
)

PRESET = "ivvae-z4"
SMALL = {"width": 8, "blocks": 1}
"""Both branches together are as wide as the OD-VAE of the other experiments."""

ROWS: dict[str, dict[str, Any]] = {
    "A": {"keyframes": False, "grouped": False, "perception": False, "half_start": False},
    "B": {"keyframes": False, "perception": False, "half_start": False},
    "C": {"grouped": False, "perception": False},
    "D": {"perception": False},
    "E": {},
}
"""The rows of the paper's ablation, as fields of the configuration."""
PAPER = {"A": 31.29, "B": 31.64, "C": 31.86, "D": 32.12, "E": 32.24}
"""PSNR in the paper's table, in dB."""
ADDED = {"B": ("A",), "C": ("A",), "D": ("B", "C"), "E": ("D",)}
"""The rows that each row adds one part of the network to."""

IMAGES = replace(PARENT, until_step=600)
CLIPS = replace(INFLATED, until_step=100)
CLIPS_EVERY = 50
CLIPS_OPTIMISER = OptimiserConfig("adam", 5e-4, schedule="cosine", warm_up=5, final=0.02)
"""A higher rate than for the OD-VAEs, at which the motion branch hardly changes."""

POSITIONS = ("first", "second", "third", "fourth")

ABLATION = """\
IV-VAE's table of ablations adds to a causal video VAE (A) group causal convolutions (B), a branch
for keyframes (C), both (D), and atrous convolutions and attention (E, the published network); each
part improves PSNR. Here the rows are the same switches of the network at an eighth of its width
with one block a level, trained on the same samples with the same noise. A and B start from a 2D VAE
with all 4 latent channels, the others from one with 2, each of its own layers; causal kernels are
tail-inflated, group causal ones from their middle, so that A and B, and C and D,
compute the same before the first step. The authors also find that causal convolutions treat the
frames of a group of four unequally; the second table has PSNR by position in the group."""

PARENTS = """\
IV-VAE's authors find that a video VAE initialised from an image VAE with as many latent channels
learns temporal compression worse than from one with half as many. Here the network of row B, which
has no branches, starts from a 2D VAE with all 4 latent channels ({whole:.2f} dB on the held-out
frames), from one with 2 ({half:.2f} dB), where the other latent channels are random in the encoder
and ignored by the decoder at first, and from random weights. Temporal compression is measured by
PSNR of the later frames, and by their deficit against the first, which is coded as a picture."""
NETWORK = {"keyframes": False, "perception": False}
"""The network whose parents are compared."""


def compare_rows(experiment: Experiment) -> ExperimentResult:
    """Train every row of the ablation."""
    trainings = {name: train_row(experiment, name, switches) for name, switches in ROWS.items()}
    curves = {name: training.curve() for name, training in trainings.items()}
    positions = {
        name: (range(1, len(POSITIONS) + 1), training.last["positions"][1:])
        for name, training in trainings.items()
    }
    psnr, folder = "held-out PSNR, dB", experiment.folder
    figures = [
        draw_curves(curves, ("steps", psnr), folder / "families-ablation.png"),
        draw_curves(positions, ("position in the group", psnr), folder / "families-positions.png"),
    ]
    tables = [tabulate_rows(trainings), tabulate_positions(trainings)]
    checks = [*check_rows(trainings), *check_positions(trainings)]
    return ExperimentResult("IV-VAE: the ablation", ABLATION, tables, figures, checks)


def tabulate_rows(trainings: dict[str, TrainingResult]) -> Table:
    """PSNR over the steps, and the paper's."""
    table = tabulate_steps(trainings)
    rows = [(*row, PAPER[str(row[0])]) for row in table.rows]
    return replace(table, header=("row", *table.header[1:], "the paper's"), rows=rows)


def check_rows(trainings: dict[str, TrainingResult]) -> list[Check]:
    """Whether each part of the network improves PSNR, as in the paper's table."""
    ends = {name: training.last["psnr"] for name, training in trainings.items()}
    return [
        Check(
            f"row {row} ends ahead of {before}: {ends[row] - ends[before]:+.2f} dB, in the paper "
            f"{PAPER[row] - PAPER[before]:+.2f}",
            ends[row] > ends[before],
        )
        for row, rows in ADDED.items()
        for before in rows
    ]


def check_positions(trainings: dict[str, TrainingResult]) -> list[Check]:
    """Whether group causal convolutions make the error more even than causal ones."""
    spreads = {name: find_spread(training) for name, training in trainings.items()}
    return [
        Check(
            f"PSNR differs less between the positions of a group in row {grouped} than in "
            f"{causal}: by {spreads[grouped]:.2f} dB and {spreads[causal]:.2f} dB",
            spreads[grouped] < spreads[causal],
        )
        for grouped, causal in (("B", "A"), ("D", "C"))
    ]


def tabulate_positions(trainings: dict[str, TrainingResult]) -> Table:
    """PSNR of frame 0 and of each position, at the end."""
    rows = [
        (name, *training.last["positions"], find_spread(training))
        for name, training in trainings.items()
    ]
    header = ("row", "frame 0", *POSITIONS, "largest difference")
    return Table("Held-out PSNR, dB, by the frame's position in its group", header, rows)


def find_spread(training: TrainingResult) -> float:
    """The largest difference of PSNR between two positions of a group."""
    positions = training.last["positions"][1:]
    return max(positions) - min(positions)


def compare_parents(experiment: Experiment) -> ExperimentResult:
    """Train one network from a parent of all latent channels, of half of them, and from none."""
    whole, half = NETWORK | {"half_start": False}, NETWORK
    parents = {name: train_parent_of(experiment, s) for name, s in (("all", whole), ("half", half))}
    model = ModelConfig(PRESET, SMALL | NETWORK)
    trainings = {
        "parent of all channels": train_row(experiment, "B", whole),
        "parent of half": train_row(experiment, "B-half", half),
        "no parent": train_clips(experiment, "B-random", model),
    }
    curves = {name: training.curve() for name, training in trainings.items()}
    labels = "steps", "held-out PSNR, dB"
    figure = draw_curves(curves, labels, experiment.folder / "families-parents.png")
    text = PARENTS.format(whole=parents["all"].last["psnr"], half=parents["half"].last["psnr"])
    tables = [tabulate_steps(trainings), tabulate_frames(trainings)]
    title = "IV-VAE: 2D parents with all or half of the latent channels"
    return ExperimentResult(title, text, tables, [figure], check_parents(*trainings.values()))


def check_parents(whole: TrainingResult, half: TrainingResult, none: TrainingResult) -> list[Check]:
    """The authors' claims about parents."""
    lead = half.last["psnr"] - none.last["psnr"]
    (first, later), (half_first, half_later) = (split_frames(t.last) for t in (whole, half))
    deficits = first - later, half_first - half_later
    return [
        Check(f"the parent of half ends ahead of no parent: {lead:+.2f} dB", lead > 0),
        Check(
            "later frames end ahead with the parent of half the channels: "
            f"{half_later - later:+.2f} dB",
            half_later > later,
        ),
        Check(
            "the deficit of later frames is smaller with the parent of half the channels: "
            f"{deficits[1]:.2f} dB, of all {deficits[0]:.2f} dB",
            deficits[1] < deficits[0],
        ),
    ]


def train_parent_of(experiment: Experiment, switches: dict[str, Any]) -> TrainingResult:
    """The 2D VAE that a network with these switches starts from."""
    own = {name: value for name, value in switches.items() if name != "grouped"}
    model = ModelConfig(PRESET, SMALL | own, images=True)
    config = configure_training(
        experiment, "ivvae-parent", model, IMAGES, PARENT_OPTIMISER, PARENT_EVERY
    )
    return train_to_end(config)


def train_row(experiment: Experiment, name: str, switches: dict[str, Any]) -> TrainingResult:
    """A network with these switches, from its 2D VAE."""
    parent = str(train_parent_of(experiment, switches).weights)
    model = ModelConfig(PRESET, SMALL | switches, parent=parent, inflation="branches")
    return train_clips(experiment, name, model)


def train_clips(experiment: Experiment, name: str, model: ModelConfig) -> TrainingResult:
    """A video VAE; all of them are trained with the same samples, noise and rates."""
    config = configure_training(
        experiment, f"ivvae-{name}", model, CLIPS, CLIPS_OPTIMISER, CLIPS_EVERY
    )
    return train_to_end(config)
