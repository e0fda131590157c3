"""Weights as diffusers or ComfyUI write them, under the names that our networks have."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from .hunyuan import is_diffusers_hunyuan, rename_diffusers_hunyuan
from .hunyuan15 import (
    drop_unused,
    has_unused,
    is_diffusers_hunyuan15,
    rename_diffusers_hunyuan15,
)
from .wan import is_diffusers_wan, rename_diffusers_wan

Tensors = Mapping[str, Tensor]

SPELLINGS: tuple[tuple[Callable[[Tensors], bool], Callable[[Tensors], Tensors]], ...] = (
    (is_diffusers_wan, rename_diffusers_wan),
    (is_diffusers_hunyuan, rename_diffusers_hunyuan),
    (is_diffusers_hunyuan15, rename_diffusers_hunyuan15),
    (has_unused, drop_unused),
)
"""What recognises a spelling, and what translates it."""


def to_native(tensors: Tensors) -> Tensors:
    """The tensors by the names of our networks; unchanged where no other spelling is recognised."""
    for recognises, rename in SPELLINGS:
        if recognises(tensors):
            return rename(tensors)
    return tensors
