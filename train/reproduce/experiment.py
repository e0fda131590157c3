"""What all experiments share: clips, where runs lie, the seed, and how long they train."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..config import DataConfig, EvaluationConfig
from ..evaluation import cut_held_out
from .result import ExperimentResult

HELD_OUT = "held-out-*"
"""The names of the clips in a scene that nothing is trained on."""

SIDE = 144
"""The short side of a scene's clips, in pixels."""


@dataclass(frozen=True)
class Experiment:
    """A folder of small clips, of which those named `HELD_OUT` are for evaluation.

    Runs lie in `folder`. `steps_factor` shortens all trainings alike, for tests.
    """

    clips: Path
    folder: Path
    seed: int = 0
    steps_factor: float = 1.0

    def steps(self, count: int) -> int:
        """What `count` steps come to here: two at least."""
        return max(2, round(count * self.steps_factor))

    def data(self) -> DataConfig:
        """Random crops of the clips to train on, every first to third frame, nothing mirrored."""
        return DataConfig(
            path=str(self.clips),
            held_out=(HELD_OUT,),
            strides=(1, 3),
            crop="random",
            cache=True,
            kept_sides=(SIDE,),
        )

    def cut_crops(self, protocol: EvaluationConfig) -> Tensor:
        """Crops of the held-out clips, the same every time: [N, 3, frames, size, size]."""
        return cut_held_out(self.data(), protocol)[SIDE]


ExperimentFunction = Callable[[Experiment], ExperimentResult]
"""Trains what it needs, or takes what lies in the scene's folder already, and reports."""
