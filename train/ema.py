"""A moving average of the weights, with a warm-up, which is what gets exported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def decay_of(half_life: float) -> float:
    """The decay per update after which, in `half_life` updates, old weights count half."""
    return 0.5 ** (1 / max(half_life, 1e-9))


class Ema:
    """shadow = d * shadow + (1 - d) * weights; d = min(decay, (1 + n) / (10 + n)) at update n."""

    def __init__(self, model: nn.Module, decay: float):
        self.decay, self.updates = decay, 0
        self.shadow = {name: weight.detach().clone() for name, weight in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards the model's weights."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
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

    def state_dict(self) -> dict[str, int | dict[str, Tensor]]:
        """What `load_state_dict` needs to go on."""
        return {"updates": self.updates, "shadow": self.shadow}

    def load_state_dict(self, state: dict) -> None:
        """Take over another average's state."""
        self.updates, self.shadow = state["updates"], state["shadow"]


@torch.no_grad()
def copy_weights(weights: dict[str, Tensor], model: nn.Module) -> None:
    """Write weights into a model's parameters of the same names."""
    for name, weight in model.named_parameters():
        weight.copy_(weights[name])
