"""The samples of a step: they depend only on the seed and the step, not on the processes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from odvae_core.diffusion.sampling.schedule import TRAINED_STEPS

from ..keyed_random import KeyedRandom
from .latents import Latents

ORDER_KEY, SAMPLE_KEY = -4, -5
"""The last numbers of the random keys of an epoch's order and of a sample's noise."""


@dataclass(frozen=True)
class Batch:
    """Latents and noise [B, T, C, h, w], timesteps [B], and labels [B] or None."""

    start: Tensor
    noise: Tensor
    timestep: Tensor
    labels: Tensor | None

    def split(self, count: int) -> list[Batch]:
        """At most `count` pieces, in order."""
        parts = (self.start.chunk(count), self.noise.chunk(count), self.timestep.chunk(count))
        labels = [None] * len(parts[0]) if self.labels is None else self.labels.chunk(count)
        return [Batch(*piece) for piece in zip(*parts, labels, strict=True)]

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        labels = None if self.labels is None else self.labels.to(device)
        return Batch(*(x.to(device) for x in (self.start, self.noise, self.timestep)), labels)


@dataclass(frozen=True)
class BatchMaker:
    """Draws batches of latents: every sample once in each epoch, in an order of its own."""

    latents: Latents
    batch: int
    seed: int
    label_dropout: float

    def draw(self, step: int, indices: range) -> Batch:
        """The samples at these positions of the step's global batch."""
        samples = [self.draw_sample(step, index) for index in indices]
        start, noise, timestep, label = zip(*samples, strict=True)
        labels = torch.tensor(label) if self.latents.classes else None
        return Batch(torch.stack(start), torch.stack(noise), torch.tensor(timestep), labels)

    def draw_sample(self, step: int, index: int) -> tuple[Tensor, Tensor, int, int]:
        """A latent and its noise [T, C, h, w], timestep and label."""
        count = len(self.latents.means)
        epoch, place = divmod(step * self.batch + index, count)
        number = order_epoch(self.seed, epoch, count)[place]
        rng = KeyedRandom(self.seed, step, index, SAMPLE_KEY)
        start = self.latents.draw(number, rng.generator)
        noise = torch.randn(start.shape, generator=rng.generator)
        timestep = rng.integer(0, TRAINED_STEPS - 1)
        null = rng.chance(self.label_dropout)
        if not self.latents.classes:
            return start, noise, timestep, 0
        label = len(self.latents.classes) if null else self.latents.labels[number]
        return start, noise, timestep, label


@lru_cache(maxsize=2)
def order_epoch(seed: int, epoch: int, count: int) -> list[int]:
    """The order of the samples in an epoch."""
    return KeyedRandom(seed, epoch, ORDER_KEY).permutation(count).tolist()
