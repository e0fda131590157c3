"""An encoder or a decoder as a flat list of layers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from torch import Tensor, nn

from .norm import activate, group_norm
from .stream import Step, StreamState, layer_step


class Coder(nn.Module):
    """Layers in the order in which they run, under the dotted names of the published checkpoints.

    The last two are the norm and the convolution of the head, with a SiLU between them.
    """

    def __init__(self, layers: Iterable[tuple[str, nn.Module]]):
        super().__init__()
        self.order: list[str] = []
        for name, layer in layers:
            add_submodule(self, name, layer)
            self.order.append(name)

    def steps(self) -> Iterator[Step]:
        for name in self.order[:-2]:
            layer = self.get_submodule(name)
            steps = getattr(layer, "steps", None)
            if steps is None:
                yield layer_step(layer)
            else:
                yield from steps()
        norm, conv = (self.get_submodule(name) for name in self.order[-2:])
        yield layer_step(self.finish, group_norm(norm), like=conv)

    def finish(self, x: Tensor, state: StreamState | None) -> Tensor:
        norm, conv = (self.get_submodule(name) for name in self.order[-2:])
        return conv(activate(norm(x, state)), state)


def add_submodule(root: nn.Module, name: str, module: nn.Module) -> None:
    """Register `module` in `root` under a dotted name, with empty modules in between."""
    *owners, leaf = name.split(".")
    for owner in owners:
        if owner not in root._modules:
            root.add_module(owner, nn.Module())
        root = root.get_submodule(owner)
    root.add_module(leaf, module)
