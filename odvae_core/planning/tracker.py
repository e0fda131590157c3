"""Memory of a pass, counted on tensors that have shapes but no values."""

from __future__ import annotations

import weakref
from collections import Counter

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

LARGEST = "largest tensor"


class FusedAttention(TorchFunctionMode):
    """Attention without its scores: kernels of devices don't keep them, those of "meta" would."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is F.scaled_dot_product_attention:
            return torch.empty_like(args[0])
        return func(*args, **(kwargs or {}))


class MemoryTracker(TorchDispatchMode):
    """Counts the bytes of the tensors made under it, by kind of device, now and at the peak.

    `peak[LARGEST]` is the number of elements of the largest of them.
    """

    def __init__(self):
        super().__init__()
        self.live: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()
        self._known: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self.add(tensor)
        if func is torch.ops.aten.convolution.default:
            self.add_scratch(args[0], result)
        return result

    def add(self, tensor: Tensor) -> None:
        """Count a tensor's storage until it is freed; views share one storage."""
        storage = tensor.untyped_storage()
        if storage in self._known:
            return
        self._known.add(storage)
        size, device = storage.nbytes(), tensor.device.type
        self.live[device] += size
        self.peak[device] = max(self.peak[device], self.live[device])
        self.peak[LARGEST] = max(self.peak[LARGEST], size // tensor.itemsize)
        weakref.finalize(storage, self.remove, device, size)

    def remove(self, device: str, size: int) -> None:
        self.live[device] -= size

    def add_scratch(self, *tensors: Tensor) -> None:
        """A convolution kernel may bring its input and its output to another layout."""
        device = tensors[0].device.type
        scratch = sum(tensor.nbytes for tensor in tensors)
        self.peak[device] = max(self.peak[device], self.live[device] + scratch)
