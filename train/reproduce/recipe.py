"""The small trainings that OD-VAE's experiments share: a 2D parent, and what is inflated from it.

The same network as the paper's at a width of 16 instead of 128 and with one block a level instead
of two; clips of nine frames of 64x64.
"""

from __future__ import annotations

from ..config import ModelConfig, OptimiserConfig, Phase
from .experiment import Experiment
from .training import TrainingResult, configure_training, train_to_end

PAPER = "odvae-v1.2"
"""The paper's model, its variant 4."""

SMALL = {"width": 16, "blocks": 1, "norm_groups": 8}
"""What makes a preset small."""

FRAMES, SIZE = 9, 64
PARENT = Phase(until_step=1200, batch=16, frames=1, size=SIZE)
PARENT_EVERY = 400
# Muon, as the embedded model's parent: after 600 steps it was 2 dB ahead of Adam at 2e-3.
PARENT_OPTIMISER = OptimiserConfig("muon", 6e-3, schedule="cosine", warm_up=20, final=0.02)

INFLATED = Phase(until_step=80, batch=4, frames=FRAMES, size=SIZE)
INFLATED_EVERY = 20
INFLATED_OPTIMISER = OptimiserConfig("adam", 1e-4)
"""The fastest that Adam may go without that a pretrained VAE forgets."""


def train_parent(experiment: Experiment) -> TrainingResult:
    """The 2D VAE: it learns frames as pictures."""
    model = ModelConfig(PAPER, SMALL, images=True)
    config = configure_training(experiment, "parent", model, PARENT, PARENT_OPTIMISER, PARENT_EVERY)
    return train_to_end(config)


def train_inflated(
    experiment: Experiment, preset: str = PAPER, inflation: str = "tail"
) -> TrainingResult:
    """A video VAE that starts from the 2D one; all see the same samples and the same noise."""
    parent = str(train_parent(experiment).weights)
    model = ModelConfig(preset, SMALL, parent=parent, inflation=inflation)
    name = f"{preset}-{inflation}"
    config = configure_training(
        experiment, name, model, INFLATED, INFLATED_OPTIMISER, INFLATED_EVERY
    )
    return train_to_end(config)
