"""Mean and variance of a clip, accumulated over chunks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations of each (batch item, group): both tensors [B, G].

    Kept in float32, in float64 for float64 features. Moments of two chunks add up to the moments of
    both (Chan et al. 1979).
    """

    count: int
    mean: Tensor
    deviation: Tensor

    @classmethod
    def of(cls, x: Tensor, groups: int) -> Moments:
        """The moments of features [B, C, T, H, W] over (C / groups, T, H, W)."""
        flat = x.reshape(x.shape[0], groups, -1)
        flat = flat.to(torch.promote_types(x.dtype, torch.float32))
        variance, mean = torch.var_mean(flat, dim=-1, correction=0)
        return cls(flat.shape[-1], mean, variance * flat.shape[-1])

    def __add__(self, other: Moments) -> Moments:
        count = self.count + other.count
        step = other.mean - self.mean
        mean = self.mean + step * (other.count / count)
        between = step.square() * (self.count * other.count / count)
        return Moments(count, mean, self.deviation + other.deviation + between)

    def to(self, device: torch.device | str) -> Moments:
        return Moments(self.count, self.mean.to(device), self.deviation.to(device))

    @property
    def variance(self) -> Tensor:
        return self.deviation / self.count
