"""A moving average of the weights, which is what gets evaluated and exported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from .config import EmaConfig


class Ema:
    """shadow = d * shadow + (1 - d) * weights, from the first weights on.

    d is the configuration's decay; with its warm-up at most (1 + n) / (10 + n) at update n.
    """

    def __init__(self, model: nn.Module, config: EmaConfig):
        self.config, self.updates = config, 0
        self.shadow = {name: weight.detach().clone() for name, weight in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards the model's weights."""
        decay = self.config.decay
        if self.config.warm_up:
            decay = min(decay, (1 + self.updates) / (10 + self.updates))
        weights = [weight.detach() for _, weight in model.named_parameters()]
        torch._foreach_lerp_(list(self.shadow.values()), weights, 1 - decay)
        self.updates += 1

    @contextmanager
    def swapped_in(self, model: nn.Module) -> Iterator[None]:
        """The model has the averaged weights inside, and its own again after, whatever happens."""
        own = {name: weight.detach().clone() for name, weight in model.named_parameters()}
        copy_weights(self.shadow, model)
        try:
            yield
        finally:
            copy_weights(own, model)

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to go on."""
        return {"updates": self.updates, "shadow": self.shadow}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over another average's state, on this one's device."""
        self.updates = state["updates"]
        for name, weight in self.shadow.items():
            weight.copy_(state["shadow"][name])


@torch.no_grad()
def copy_weights(weights: dict[str, Tensor], model: nn.Module) -> None:
    """Write weights into a model's parameters of the same names."""
    for name, weight in model.named_parameters():
        weight.copy_(weights[name])
