"""The types in which weights are stored, and from one to another."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

import torch
from torch import Tensor

WRITTEN = (torch.float32, torch.float16, torch.bfloat16)
READ = (*WRITTEN, torch.float64)


def find_dtype(tensors: Mapping[str, Tensor]) -> torch.dtype:
    """The widest type of stored weights. Raises `ValueError` where one is no floating point."""
    for key, tensor in tensors.items():
        if tensor.dtype not in READ or tensor.layout is not torch.strided or tensor.is_meta:
            raise ValueError(
                f"{key} is stored as {tensor.dtype}, {tensor.layout}, on {tensor.device}: "
                "give a file of plain float32, float16 or bfloat16 weights"
            )
    return reduce(torch.promote_types, {tensor.dtype for tensor in tensors.values()})


def convert(key: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """A weight in another type. Raises `ValueError` where it isn't finite in it."""
    converted = tensor.detach().to(dtype)
    if converted.isfinite().all():
        return converted
    if tensor.isfinite().all():
        raise ValueError(f"{key} is too large for {dtype}: choose torch.bfloat16 or torch.float32")
    raise ValueError(f"{key} holds values that aren't finite: its weights are broken, use others")
