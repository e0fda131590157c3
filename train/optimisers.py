"""Which optimiser, and the learning rate of a step."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from .config import OptimiserConfig
from .muon import Muon


def make_optimiser(
    weights: Iterable[nn.Parameter], config: OptimiserConfig
) -> torch.optim.Optimizer:
    """The configuration's optimiser of these weights."""
    rate, betas, decay = config.learning_rate, config.betas, config.weight_decay
    if config.name == "muon":
        return Muon(weights, rate, betas)
    kind = torch.optim.Adam if config.name == "adam" else torch.optim.AdamW
    return kind(weights, rate, betas, config.epsilon, weight_decay=decay)


def learning_rate(config: OptimiserConfig, step: int, steps: int) -> float:
    """The rate of a step counted from 0: linear warm-up, then constant or a cosine to `final`."""
    if step < config.warm_up:
        return config.learning_rate * (step + 1) / config.warm_up
    if config.schedule == "constant":
        return config.learning_rate
    progress = (step - config.warm_up) / max(1, steps - config.warm_up)
    fall = (1 + math.cos(math.pi * min(1.0, progress))) / 2
    return config.learning_rate * (config.final + (1 - config.final) * fall)
