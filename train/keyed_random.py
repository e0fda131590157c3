"""Stateless random numbers: a sample's numbers depend only on its key (seed, step, index)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


class KeyedRandom:
    """Random numbers from a generator that is seeded with a tuple of integers."""

    def __init__(self, *key: int):
        """`key`: any integers, for example (seed, step, index in the global batch)."""
        digest = hashlib.blake2b(repr(key).encode(), digest_size=8).digest()
        self.generator = torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Draw one number from [low, high)."""
        share = torch.rand((), dtype=torch.float64, generator=self.generator)
        return low + (high - low) * float(share)

    def log_uniform(self, low: float, high: float) -> float:
        """Draw one positive number whose logarithm is uniform."""
        return math.exp(self.uniform(math.log(low), math.log(high)))

    def integer(self, low: int, high: int) -> int:
        """Draw one integer from low to high, both included."""
        return int(torch.randint(low, high + 1, (), generator=self.generator))

    def chance(self, probability: float) -> bool:
        """Draw True with this probability."""
        return self.uniform() < probability

    def choose(self, options: Sequence[T]) -> T:
        """Draw one of the options."""
        return options[self.integer(0, len(options) - 1)]

    def uniforms(self, *shape: int) -> Tensor:
        """Draw a tensor of numbers from [0, 1)."""
        return torch.rand(shape, generator=self.generator)

    def permutation(self, count: int) -> Tensor:
        """Draw a permutation of 0 .. count - 1."""
        return torch.randperm(count, generator=self.generator)
