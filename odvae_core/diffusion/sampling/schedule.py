"""The noise schedule: how much noise a timestep has, and which timesteps a sampler visits."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

TRAINED_STEPS = 1000
BETAS = (1e-4, 0.02)
"""The first and the last noise variance; linear between them (Ho et al., 2020). Open-Sora-Plan v1.0
to v1.2 and Latte are trained with it. ComfyUI calls it "sqrt_linear".
"""


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) noise, where a_t is the product of (1 - beta) up to t.

    `betas` [N] in float64; `timesteps` [N] are what the network gets at each of them.
    """

    betas: Tensor
    timesteps: Tensor

    @cached_property
    def kept(self) -> Tensor:
        """a_t [N], the part of the variance that is the latents' own."""
        return torch.cumprod(1 - self.betas, 0)

    @cached_property
    def kept_before(self) -> Tensor:
        """a_t of the step before each, [N]; 1 for the first."""
        return torch.cat([torch.ones(1, dtype=torch.float64), self.kept[:-1]])

    @cached_property
    def sigmas(self) -> Tensor:
        """Noise relative to the latents, sqrt((1 - a_t) / a_t), [N]."""
        return ((1 - self.kept) / self.kept).sqrt()

    @cached_property
    def posterior_variance(self) -> Tensor:
        """The variance of x_(t-1), given x_t and x_0, [N]; 0 for the first."""
        return self.betas * (1 - self.kept_before) / (1 - self.kept)

    @cached_property
    def posterior_log_variance(self) -> Tensor:
        """Its logarithm, with the second value also for the first."""
        return torch.cat([self.posterior_variance[1:2], self.posterior_variance[1:]]).log()

    @cached_property
    def posterior_mean_factors(self) -> tuple[Tensor, Tensor]:
        """The factors of x_0 and of x_t in the mean of x_(t-1), given both: two [N]."""
        of_start = self.betas * self.kept_before.sqrt() / (1 - self.kept)
        of_noisy = (1 - self.kept_before) * (1 - self.betas).sqrt() / (1 - self.kept)
        return of_start, of_noisy

    def respace(self, timesteps: Tensor) -> NoiseSchedule:
        """The schedule that visits only these timesteps [n], ascending."""
        kept = self.kept[timesteps]
        before = torch.cat([torch.ones(1, dtype=torch.float64), kept[:-1]])
        return NoiseSchedule(1 - kept / before, self.timesteps[timesteps])

    def sigma_at(self, timestep: float) -> float:
        """The sigma of a timestep, interpolated between whole ones."""
        low = min(int(timestep), len(self.sigmas) - 2)
        return float(torch.lerp(self.sigmas[low], self.sigmas[low + 1], timestep - low))

    def timestep_at(self, sigma: float) -> float:
        """The timestep of a sigma, the inverse of `sigma_at`; within the schedule's range."""
        sigma = min(max(sigma, float(self.sigmas[0])), float(self.sigmas[-1]))
        found = torch.searchsorted(self.sigmas, torch.tensor(sigma, dtype=torch.float64))
        low = max(0, int(found) - 1)
        rise = float(self.sigmas[low + 1] - self.sigmas[low])
        return low + (sigma - float(self.sigmas[low])) / rise


def make_linear_schedule() -> NoiseSchedule:
    """The schedule of all supported models: 1000 steps."""
    betas = torch.linspace(*BETAS, TRAINED_STEPS, dtype=torch.float64)
    return NoiseSchedule(betas, torch.arange(TRAINED_STEPS))


LINEAR = make_linear_schedule()


def space_evenly(count: int) -> Tensor:
    """`count` timesteps from 0 to 999, rounded (Latte), [count]."""
    check_steps(count)
    spaced = torch.linspace(0, TRAINED_STEPS - 1, count, dtype=torch.float64)
    return spaced.round().long() if count > 1 else torch.zeros(1, dtype=torch.long)


def space_leading(count: int) -> Tensor:
    """`count` timesteps at multiples of 1000 // count, from 0 on (Open-Sora-Plan's DDIM, PNDM)."""
    check_steps(count)
    return torch.arange(count) * (TRAINED_STEPS // count)


def check_steps(count: int, least: int = 1) -> None:
    """Raise `ValueError` where there are too few or too many steps."""
    if not least <= count <= TRAINED_STEPS:
        raise ValueError(f"got {count} steps; give {least} to {TRAINED_STEPS}")
