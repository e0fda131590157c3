"""An experiment: the clips, folder and seed that it gets, and the result that it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..config import DataConfig, EvaluationConfig
from ..evaluation import cut_held_out

HELD_OUT = "held-out-*"
"""The names of the clips that are used for evaluation only."""

SIDE = 144
"""The short side of the clips in pixels."""


@dataclass(frozen=True)
class Experiment:
    """A folder of small clips, of which those named `HELD_OUT` are for evaluation.

    Runs are written to `folder`. `steps_factor` scales the number of steps of all trainings.
    """

    clips: Path
    folder: Path
    seed: int = 0
    steps_factor: float = 1.0

    def scale_steps(self, count: int) -> int:
        """`count` times `steps_factor`, at least 2."""
        return max(2, round(count * self.steps_factor))

    def make_data_config(self) -> DataConfig:
        """Random crops of the clips to train on, with strides of 1 to 3 and no augmentation."""
        return DataConfig(
            path=str(self.clips),
            held_out=(HELD_OUT,),
            strides=(1, 3),
            crop="random",
            cache=True,
            kept_sides=(SIDE,),
        )

    def cut_crops(self, protocol: EvaluationConfig) -> Tensor:
        """Crops of the held-out clips, the same in every call: [N, 3, frames, size, size]."""
        return cut_held_out(self.make_data_config(), protocol)[SIDE]


@dataclass(frozen=True)
class Table:
    """Rows under a header; floats are written with `digits` decimals."""

    title: str
    header: tuple[str, ...]
    rows: list[tuple[str | float, ...]]
    digits: int = 2


@dataclass(frozen=True)
class Check:
    """A statement that the experiment tests, and whether it holds."""

    sentence: str
    passed: bool


@dataclass(frozen=True)
class ExperimentResult:
    """The result of an experiment; `text` has the paper's claim and the setup."""

    title: str
    text: str
    tables: list[Table]
    figures: list[Path]
    checks: list[Check]


ExperimentFunction = Callable[[Experiment], ExperimentResult]
"""Trains the networks that it needs, except those already in the folder, and compares them."""
