"""A moving average of the weights, which evaluations and exports use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from .config import EmaConfig


class Ema:
    """shadow = d * shadow + (1 - d) * weights, initialised with the first weights.

    d is the configuration's decay; with warm-up it is at most (1 + n) / (10 + n) at update n.
    """

    def __init__(self, model: nn.Module, config: EmaConfig):
        self.config, self.updates = config, 0
        self.shadow = {name: weight.detach().clone() for name, weight in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Update the average with the model's weights."""
        decay = self.config.decay
        if self.config.warm_up:
            decay = min(decay, (1 + self.updates) / (10 + self.updates))
        weights = [weight.detach() for _, weight in model.named_parameters()]
        torch._foreach_lerp_(list(self.shadow.values()), weights, 1 - decay)
        self.updates += 1

    @contextmanager
    def swapped_in(self, model: nn.Module) -> Iterator[None]:
        """The model has the averaged weights inside the context, and its own after it."""
        own = {name: weight.detach().clone() for name, weight in model.named_parameters()}
        copy_weights(self.shadow, model)
        try:
            yield
        finally:
            copy_weights(own, model)

    def state_dict(self) -> dict[str, Any]:
        """The averaged weights and the number of updates."""
        return {"updates": self.updates, "shadow": self.shadow}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Copy another average's state to this one's device."""
        self.updates = state["updates"]
        for name, weight in self.shadow.items():
            weight.copy_(state["shadow"][name])


@torch.no_grad()
def copy_weights(weights: dict[str, Tensor], model: nn.Module) -> None:
    """Copy weights into a model's parameters of the same names."""
    for name, weight in model.named_parameters():
        weight.copy_(weights[name])
