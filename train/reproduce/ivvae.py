"""IV-VAE's two findings: group causality evens the error out, and a half parent leaves room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import odvae_core
from odvae_core.vae import VideoVAE

from ..config import ModelConfig, OptimiserConfig
from ..networks import make_vae
from .causality import delay_kernels, make_causal
from .drawing import draw_curves
from .experiment import Experiment
from .figure_4 import split_frames, tabulate_frames, tabulate_steps
from .recipe import INFLATED, PAPER, PARENT, PARENT_EVERY, PARENT_OPTIMISER
from .recipe import SMALL as SMALL_PAPER
from .result import Check, ExperimentResult, Table
from .training import TrainingResult, configure_training, train_to_end

PRESET = "ivvae-z4"
SMALL = {"width": 8, "blocks": 1}
"""With both branches together as wide as the OD-VAE of the other experiments."""

IMAGES = replace(PARENT, until_step=600)
CLIPS = replace(INFLATED, until_step=100)
CLIPS_EVERY = 50
CLIPS_OPTIMISER = OptimiserConfig("adam", 5e-4, schedule="cosine", warm_up=5, final=0.02)
"""Faster than for the OD-VAEs: at their rate the motion's branch hardly leaves its start."""

POSITIONS = ("first", "second", "third", "fourth")

CAUSALITY = """\
IV-VAE's authors find that causal convolutions treat the frames of a group of four unequally, as
only the last one sees all others, so that the error goes up and down with the place in the group.
Their group causal convolutions let the frames of a group see each other both ways. Here both are
one network, the paper's at an eighth of its width and with one block a level, started from one 2D
VAE so that both compute the same before the first step, on the same samples with the same noise. A
causal kernel sees its frame and the two before it; a group causal one sees the frame before and,
within the group, the one after. In both, the first frame of a group comes from the keyframes'
branch and the others from the motion's, which alone makes a difference between places."""

PARENTS = """\
IV-VAE's authors find that a video VAE that starts from an image VAE of as many latent channels is
held back in learning to compress time, and start theirs from one of half as many. Here an IV-VAE of
4 latent channels starts from its own 2D VAE of 2 ({half:.2f} dB on the held-out frames), or from
random weights. A 2D VAE with all 4 can't be inflated into an IV-VAE, as its features fill both
branches; the nearest is an OD-VAE of 4 latent channels and the same width, tail-inflated from such
a 2D VAE ({full:.2f} dB). That is another network: its row shows where such a start leads, not what
the channels alone do. How well time is compressed shows in how far the later frames are behind the
first, which is coded as a picture. Samples, steps and rates are the same."""


def compare_causality(experiment: Experiment) -> ExperimentResult:
    """Train one IV-VAE with causal and with group causal convolutions."""
    trainings = {"group causal": train_from_half(experiment), "causal": train_causal(experiment)}
    positions = {
        name: (range(1, len(POSITIONS) + 1), training.last["positions"][1:])
        for name, training in trainings.items()
    }
    labels = "place in the group of four", "held-out PSNR, dB"
    figure = draw_curves(positions, labels, experiment.folder / "families-positions.png")
    title = "IV-VAE: the error by place in the group of four"
    tables = [tabulate_positions(trainings)]
    return ExperimentResult(title, CAUSALITY, tables, [figure], [check_causality(trainings)])


def check_causality(trainings: dict[str, TrainingResult]) -> Check:
    """Whether the groups even the error out."""
    group, causal = (find_spread(trainings[name]) for name in ("group causal", "causal"))
    return Check(
        "PSNR differs less between the places of a group with group causal convolutions: by "
        f"{group:.2f} dB, with causal ones by {causal:.2f} dB",
        group < causal,
    )


def tabulate_positions(trainings: dict[str, TrainingResult]) -> Table:
    """PSNR of frame 0 and of each place, at the end."""
    rows = [
        (name, *training.last["positions"], find_spread(training), training.last["psnr"])
        for name, training in trainings.items()
    ]
    header = ("convolutions", "frame 0", *POSITIONS, "largest difference", "all frames")
    return Table("Held-out PSNR, dB, by the frame's place in its group", header, rows)


def find_spread(training: TrainingResult) -> float:
    """The largest difference of PSNR between two places of a group."""
    positions = training.last["positions"][1:]
    return max(positions) - min(positions)


def compare_parents(experiment: Experiment) -> ExperimentResult:
    """Train an IV-VAE from its half-channel parent, from none, and an OD-VAE from a full one."""
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
    title = "IV-VAE: a parent of half the latent channels"
    return ExperimentResult(title, text, tables, [figure], check_parents(*trainings.values()))


def check_parents(half: TrainingResult, none: TrainingResult, full: TrainingResult) -> list[Check]:
    """What the authors say of parents."""
    lead = half.last["psnr"] - none.last["psnr"]
    behind = [first - later for first, later in (split_frames(c.last) for c in (half, full))]
    return [
        Check(f"the half parent ends ahead of no parent: {lead:+.2f} dB", lead > 0),
        Check(
            "later frames are less behind the first with the parent of half the channels: "
            f"{behind[0]:.2f} dB, of all {behind[1]:.2f} dB",
            behind[0] < behind[1],
        ),
    ]


def train_half_parent(experiment: Experiment) -> TrainingResult:
    """The 2D VAE of IV-VAE's own layers, of half the latent channels."""
    model = ModelConfig(PRESET, SMALL, images=True)
    config = configure_training(
        experiment, "parent-half", model, IMAGES, PARENT_OPTIMISER, PARENT_EVERY
    )
    return train_to_end(config)


def train_full_parent(experiment: Experiment) -> TrainingResult:
    """The 2D VAE of all the latent channels, trained as long."""
    model = ModelConfig(PAPER, SMALL_PAPER, images=True)
    config = configure_training(
        experiment, "parent-full", model, IMAGES, PARENT_OPTIMISER, PARENT_EVERY
    )
    return train_to_end(config)


def train_from_half(experiment: Experiment) -> TrainingResult:
    """The IV-VAE both branches of which start from the half-channel parent."""
    return train_clips(experiment, "ivvae-half", inflate_half(experiment))


def train_from_full(experiment: Experiment) -> TrainingResult:
    """The OD-VAE that is tail-inflated from a 2D VAE of all the latent channels."""
    parent = str(train_full_parent(experiment).weights)
    return train_clips(experiment, "odvae-full", ModelConfig(PAPER, SMALL_PAPER, parent=parent))


def train_causal(experiment: Experiment) -> TrainingResult:
    """The same, computing the same at its start, with causal convolutions."""
    vae = make_vae(inflate_half(experiment))
    delay_kernels(vae)
    start = experiment.folder / "ivvae-causal-start.safetensors"
    odvae_core.save(vae, start)
    return train_clips(experiment, "ivvae-causal", ModelConfig(start=str(start)), make_causal)


def inflate_half(experiment: Experiment) -> ModelConfig:
    """How an IV-VAE starts from its parent."""
    parent = str(train_half_parent(experiment).weights)
    return ModelConfig(PRESET, SMALL, parent=parent, inflation="branches")


def train_clips(
    experiment: Experiment,
    name: str,
    model: ModelConfig,
    adapt: Callable[[VideoVAE], None] | None = None,
) -> TrainingResult:
    """A video VAE; all here see the same samples, noise and rates."""
    config = configure_training(experiment, name, model, CLIPS, CLIPS_OPTIMISER, CLIPS_EVERY)
    return train_to_end(config, adapt)
