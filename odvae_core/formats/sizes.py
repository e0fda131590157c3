"""Sizes of layers, read from the shapes of weights that may have any shape."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def read_size(tensors: Mapping[str, Tensor], key: str, axis: int) -> int:
    """The size of a weight along an axis. Raises `ValueError` where there is none."""
    if key not in tensors:
        raise ValueError(f"its architecture can't be read: {key} is missing")
    return size_of(key, tensors[key], axis)


def size_of(name: str, tensor: Tensor, axis: int) -> int:
    """The size of a tensor along an axis. Raises `ValueError` where it has no such axis, or 0."""
    shape = list(tensor.shape)
    if axis >= len(shape) or not shape[axis]:
        raise ValueError(f"its architecture can't be read: {name} has the shape {shape}")
    return shape[axis]
