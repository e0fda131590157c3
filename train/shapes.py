"""The batch shape of each step: a keyed random draw, the same in every process and when resumed."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate

from .config_sections import Phase, Shape
from .keyed_random import KeyedRandom

SHAPE_KEY = -3
"""The last number of the random key that decides the shape of a step's batch."""


@dataclass(frozen=True)
class ShapeSchedule:
    """From a step, counted from 0, to the shape of its batch."""

    phases: tuple[Phase, ...]
    seed: int

    def __call__(self, step: int) -> Shape:
        phase = next(phase for phase in self.phases if step < phase.until_step)
        shapes = phase.list_shapes()
        ends = list(accumulate(shape.weight for shape in shapes))
        drawn = KeyedRandom(self.seed, step, SHAPE_KEY).uniform() * ends[-1]
        return shapes[min(bisect_right(ends, drawn), len(shapes) - 1)]

    def list_shapes(self, first_step: int) -> list[Shape]:
        """All shapes that steps from `first_step` on can have."""
        phases = [phase for phase in self.phases if phase.until_step > first_step]
        return list(dict.fromkeys(shape for phase in phases for shape in phase.list_shapes()))
