"""Modules under the names that the published checkpoints give them."""

from __future__ import annotations

from torch import nn


def add_submodule(root: nn.Module, name: str, module: nn.Module) -> None:
    """Register `module` in `root` under a dotted name, with empty modules in between."""
    *owners, leaf = name.split(".")
    for owner in owners:
        if owner not in root._modules:
            root.add_module(owner, nn.Module())
        root = root.get_submodule(owner)
    root.add_module(leaf, module)
