"""The whole clip at once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ..layers.stream import Step, advance
from .base import Report, Schedule
from .direction import Direction


@dataclass(frozen=True)
class Whole(Schedule):
    """The whole clip at once: for training and short clips.

    `recompute` keeps, of each step, only what goes in, and computes the rest again in the backward
    pass: more time, less memory, the same gradients.
    """

    recompute: bool = field(default=False, repr=False)

    word = "whole"
    carries_gradients = True

    def run_clip(self, way: Direction, clip: Tensor, report: Report) -> Tensor:
        steps = [forget(step) for step in way.steps] if self.recompute else way.steps
        with report.part(len(steps)):
            return advance(steps, way.place(clip), report=report)[0].to(clip)

    def cut(self, way: Direction) -> tuple[int, int]:
        """The clip is not cut; it grows by the frames of one latent frame."""
        return 1 + way.frames_in, way.frames_in

    def is_exact(self, way: Direction) -> bool:
        return True

    def count(self, way: Direction, frames: int) -> int:
        return len(way.steps)


def forget(step: Step) -> Step:
    """The same step, which computes its activations again when gradients ask for them."""
    return replace(step, run=partial(checkpoint, step.run, use_reentrant=False))
