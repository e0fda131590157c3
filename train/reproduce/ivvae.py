"""IV-VAE's experiments: group causal convolutions, and a parent with half the latent channels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import odvae_core
from odvae_core.vae import VideoVAE

from ..config import ModelConfig, OptimiserConfig
from ..networks import make_vae
from .causality import delay_kernels, make_causal
from .drawing import draw_curves
from .experiment import Check, Experiment, ExperimentResult, Table
from .figure_4 import split_frames, tabulate_frames, tabulate_steps
from .training import (
    INFLATED,
    PAPER,
    PARENT,
    PARENT_EVERY,
    PARENT_OPTIMISER,
    TrainingResult,
    configure_training,
    train_to_end,
)
from .training import SMALL as SMALL_PAPER

PRESET = "ivvae-z4"
SMALL = {"width": 8, "blocks": 1}
"""Both branches together are as wide as the OD-VAE of the other experiments."""

IMAGES = replace(PARENT, until_step=600)
CLIPS = replace(INFLATED, until_step=100)
CLIPS_EVERY = 50
CLIPS_OPTIMISER = OptimiserConfig("adam", 5e-4, schedule="cosine", warm_up=5, final=0.02)
"""A higher rate than for the OD-VAEs, at which the motion branch hardly changes."""

POSITIONS = ("first", "second", "third", "fourth")

CAUSALITY = """\
IV-VAE's authors find that causal convolutions treat the frames of a group of four unequally, since
only the last frame depends on all others, so that the error varies with the position in the group.
In their group causal convolutions the frames of a group depend on each other in both directions.
Here both are the paper's network at an eighth of its width with one block a level, initialised from
one 2D VAE so that both compute the same before the first step, and trained on the same samples with
the same noise. A causal kernel covers its frame and the two before it; a group causal one covers
the frame before and, within the group, the one after. In both, the first frame of a group is
computed by the keyframe branch and the others by the motion branch, which alone makes positions
differ."""

PARENTS = """\
IV-VAE's authors find that a video VAE initialised from an image VAE with as many latent channels
learns temporal compression worse, and initialise theirs from one with half as many. Here an IV-VAE
with 4 latent channels starts from its own 2D VAE with 2 ({half:.2f} dB on the held-out frames), or
from random weights. A 2D VAE with 4 can't be inflated into an IV-VAE, since its features would fill
both branches; the closest is an OD-VAE with 4 latent channels and the same width, tail-inflated
from such a 2D VAE ({full:.2f} dB). It is another network: its row shows the result of such an
initialisation, not the effect of the channels. Temporal compression is measured by the deficit of
the later frames against the first, which is coded as a picture. Samples, steps and rates are the
same."""


def compare_causality(experiment: Experiment) -> ExperimentResult:
    """Train one IV-VAE with causal and with group causal convolutions."""
    trainings = {"group causal": train_from_half(experiment), "causal": train_causal(experiment)}
    positions = {
        name: (range(1, len(POSITIONS) + 1), training.last["positions"][1:])
        for name, training in trainings.items()
    }
    labels = "position in the group of four", "held-out PSNR, dB"
    figure = draw_curves(positions, labels, experiment.folder / "families-positions.png")
    title = "IV-VAE: the error by position in the group of four"
    tables = [tabulate_positions(trainings)]
    return ExperimentResult(title, CAUSALITY, tables, [figure], [check_causality(trainings)])


def check_causality(trainings: dict[str, TrainingResult]) -> Check:
    """Whether group causal convolutions make the error more even."""
    group, causal = (find_spread(trainings[name]) for name in ("group causal", "causal"))
    return Check(
        "PSNR differs less between the positions of a group with group causal convolutions: by "
        f"{group:.2f} dB, with causal ones by {causal:.2f} dB",
        group < causal,
    )


def tabulate_positions(trainings: dict[str, TrainingResult]) -> Table:
    """PSNR of frame 0 and of each position, at the end."""
    rows = [
        (name, *training.last["positions"], find_spread(training), training.last["psnr"])
        for name, training in trainings.items()
    ]
    header = ("convolutions", "frame 0", *POSITIONS, "largest difference", "all frames")
    return Table("Held-out PSNR, dB, by the frame's position in its group", header, rows)


def find_spread(training: TrainingResult) -> float:
    """The largest difference of PSNR between two positions of a group."""
    positions = training.last["positions"][1:]
    return max(positions) - min(positions)


def compare_parents(experiment: Experiment) -> ExperimentResult:
    """Train an IV-VAE from a half-channel parent and without one, an OD-VAE from a full one."""
    half, full = train_half_parent(experiment), train_full_parent(experiment)
    trainings = {
        "IV-VAE, parent of half": train_from_half(experiment),
        "IV-VAE, no parent": train_clips(experiment, "ivvae-random", ModelConfig(PRESET, SMALL)),
        "OD-VAE, parent of all": train_from_full(experiment),
    }
    curves = {name: training.curve() for name, training in trainings.items()}
    labels = "steps", "held-out PSNR, dB"
    figure = draw_curves(curves, labels, experiment.folder / "families-parents.png")
    text = PARENTS.format(half=half.last["psnr"], full=full.last["psnr"])
    tables = [tabulate_steps(trainings), tabulate_frames(trainings)]
    title = "IV-VAE: a parent with half the latent channels"
    return ExperimentResult(title, text, tables, [figure], check_parents(*trainings.values()))


def check_parents(half: TrainingResult, none: TrainingResult, full: TrainingResult) -> list[Check]:
    """The authors' claims about parents."""
    lead = half.last["psnr"] - none.last["psnr"]
    behind = [first - later for first, later in (split_frames(c.last) for c in (half, full))]
    return [
        Check(f"the half parent ends ahead of no parent: {lead:+.2f} dB", lead > 0),
        Check(
            "the deficit of later frames is smaller with the parent of half the channels: "
            f"{behind[0]:.2f} dB, of all {behind[1]:.2f} dB",
            behind[0] < behind[1],
        ),
    ]


def train_half_parent(experiment: Experiment) -> TrainingResult:
    """The 2D VAE of IV-VAE's layers, with half the latent channels."""
    model = ModelConfig(PRESET, SMALL, images=True)
    config = configure_training(
        experiment, "parent-half", model, IMAGES, PARENT_OPTIMISER, PARENT_EVERY
    )
    return train_to_end(config)


def train_full_parent(experiment: Experiment) -> TrainingResult:
    """The 2D VAE with all latent channels, trained for as many steps."""
    model = ModelConfig(PAPER, SMALL_PAPER, images=True)
    config = configure_training(
        experiment, "parent-full", model, IMAGES, PARENT_OPTIMISER, PARENT_EVERY
    )
    return train_to_end(config)


def train_from_half(experiment: Experiment) -> TrainingResult:
    """The IV-VAE with both branches initialised from the half-channel parent."""
    return train_clips(experiment, "ivvae-half", inflate_half(experiment))


def train_from_full(experiment: Experiment) -> TrainingResult:
    """The OD-VAE that is tail-inflated from the 2D VAE with all latent channels."""
    parent = str(train_full_parent(experiment).weights)
    return train_clips(experiment, "odvae-full", ModelConfig(PAPER, SMALL_PAPER, parent=parent))


def train_causal(experiment: Experiment) -> TrainingResult:
    """The IV-VAE with causal convolutions, which computes the same before the first step."""
    vae = make_vae(inflate_half(experiment))
    delay_kernels(vae)
    start = experiment.folder / "ivvae-causal-start.safetensors"
    odvae_core.save(vae, start)
    return train_clips(experiment, "ivvae-causal", ModelConfig(start=str(start)), make_causal)


def inflate_half(experiment: Experiment) -> ModelConfig:
    """The model configuration of an IV-VAE inflated from its half-channel parent."""
    parent = str(train_half_parent(experiment).weights)
    return ModelConfig(PRESET, SMALL, parent=parent, inflation="branches")


def train_clips(
    experiment: Experiment,
    name: str,
    model: ModelConfig,
    adapt: Callable[[VideoVAE], None] | None = None,
) -> TrainingResult:
    """A video VAE; all of them are trained with the same samples, noise and rates."""
    config = configure_training(experiment, name, model, CLIPS, CLIPS_OPTIMISER, CLIPS_EVERY)
    return train_to_end(config, adapt)
