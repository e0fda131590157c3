"""The whole clip at once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

from torch import Tensor
from torch.utils.checkpoint import checkpoint  # pyright: ignore[reportUnknownVariableType]

from ..layers.coder_pass import CoderPass
from ..layers.stream import Step, advance
from .base import Report, Schedule


@dataclass(frozen=True)
class Whole(Schedule):
    """The whole clip at once: for training and short clips.

    `recompute` keeps, of each step, only what goes in, and computes the rest again in the backward
    pass: more time, less memory, the same gradients.
    """

    recompute: bool = field(default=False, repr=False)

    word = "whole"
    carries_gradients = True

    def run_clip(self, coder: CoderPass, clip: Tensor, report: Report) -> Tensor:
        steps = [recompute(step) for step in coder.steps] if self.recompute else coder.steps
        with report.part(len(steps)):
            return advance(steps, coder.to_device(clip), report=report)[0].to(clip)

    def cut(self, coder: CoderPass) -> tuple[int, int]:
        """The smallest clip, and the frames per further latent frame: there is no cut."""
        return 1 + coder.frames_in, coder.frames_in

    def is_exact(self, coder: CoderPass) -> bool:
        return True

    def count(self, coder: CoderPass, frames: int) -> int:
        return len(coder.steps)


def recompute(step: Step) -> Step:
    """The same step, which computes its activations again when gradients ask for them."""
    return replace(step, run=partial(checkpoint, step.run, use_reentrant=False))
