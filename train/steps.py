"""One optimiser step, and the learning rate that it takes."""

from __future__ import annotations

import math

import torch
from accelerate import Accelerator
from torch import Tensor

from .config import OptimiserConfig


class DivergedError(RuntimeError):
    """Training gave non-finite losses or gradients too often in a row."""


def learning_rate(config: OptimiserConfig, step: int, steps: int) -> float:
    """The rate of a step counted from 0: linear warm-up, then a cosine down to `final` of it."""
    if step < config.warm_up:
        return config.learning_rate * (step + 1) / config.warm_up
    progress = (step - config.warm_up) / max(1, steps - config.warm_up)
    fall = (1 + math.cos(math.pi * min(1.0, progress))) / 2
    return config.learning_rate * (config.final + (1 - config.final) * fall)


class Stepper:
    """Takes optimiser steps and skips those that are not finite."""

    def __init__(
        self,
        accelerator: Accelerator,
        objective: torch.nn.Module,
        optimiser: torch.optim.Optimizer,
        config: OptimiserConfig,
    ):
        self.accelerator, self.objective, self.optimiser = accelerator, objective, optimiser
        self.config = config
        self.skipped_in_a_row = 0

    def take(self, video: Tensor, generator: torch.Generator, rate: float) -> dict[str, float]:
        """Step once on a batch; the losses, the gradient's norm, and `skipped` (0 or 1).

        Raises DivergedError where `skip_limit` steps in a row were not finite.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        losses = self.objective(video, generator)
        self.accelerator.backward(losses["total"])
        norm = self.accelerator.clip_grad_norm_(self.objective.parameters(), self.config.clip)
        finite = bool(torch.isfinite(norm)) and bool(torch.isfinite(losses["total"]))
        if finite:
            self.optimiser.step()
        self.optimiser.zero_grad()
        values = {name: float(loss.detach()) for name, loss in losses.items()}
        self.count(finite, values)
        return {**values, "gradient": float(norm), "skipped": int(not finite)}

    def count(self, finite: bool, values: dict[str, float]) -> None:
        """Keep the tally of skipped steps."""
        self.skipped_in_a_row = 0 if finite else self.skipped_in_a_row + 1
        if self.skipped_in_a_row >= self.config.skip_limit:
            raise DivergedError(
                f"{self.skipped_in_a_row} steps in a row were not finite (the last: {values}); "
                "resume from the last checkpoint with a smaller optimiser.learning_rate"
            )
