"""How the weights of a file differ from those of a network, in words."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache

import torch
from torch import Tensor, nn

from ..registry import FAMILIES, Family, family_of
from ..vae import VideoVAE

SHOWN = 5
"""How many names a message lists."""


def build_empty(config: object) -> VideoVAE:
    """A network on the meta device: shapes without memory."""
    with torch.device("meta"):
        return FAMILIES[family_of(config)].network(config)


def find_mismatch(network: nn.Module, tensors: Mapping[str, Tensor]) -> str:
    """How weights differ from those of a network, in words; "" where they match."""
    expected = network.state_dict()
    shapes = [
        f"{key} is {list(tensors[key].shape)} instead of {list(value.shape)}"
        for key, value in expected.items()
        if key in tensors and tensors[key].shape != value.shape
    ]
    faults = compare_names(expected, tensors)
    if shapes:
        faults.append(f"{len(shapes)} shapes differ: {name_first(shapes)}")
    return "; ".join(faults)


def compare_names(expected: Collection[str], given: Collection[str]) -> list[str]:
    """Which keys are missing and which are too many, in words."""
    missing = [key for key in expected if key not in given]
    unexpected = [key for key in given if key not in expected]
    rows = (("missing", missing), ("unexpected", unexpected))
    return [f"{len(keys)} keys are {word}: {name_first(keys)}" for word, keys in rows if keys]


def describe_nearest(family: Family, tensors: Collection[str]) -> str:
    """How keys differ from those of the family's preset that is nearest to them."""
    keys = list_preset_keys(next(name for name, item in FAMILIES.items() if item is family))
    nearest = min(keys, key=lambda name: len(set(keys[name]) ^ set(tensors)))
    return f"against {nearest} {'; '.join(compare_names(keys[nearest], tensors))}"


@cache
def list_preset_keys(family: str) -> dict[str, tuple[str, ...]]:
    """The keys of a family's presets, by their names."""
    presets = FAMILIES[family].presets.items()
    return {name: tuple(build_empty(preset).state_dict()) for name, preset in presets}


def name_first(names: Collection[str]) -> str:
    """The first five of many names."""
    return ", ".join(list(names)[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
