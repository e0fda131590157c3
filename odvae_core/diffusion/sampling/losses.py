"""The losses of Latte's training: the error of the noise, and the bound of the learned variance."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .prediction import Prediction
from .schedule import LINEAR, NoiseSchedule

HALF_BIN = 1 / 255
"""Half the width of the bins in which the likelihood of x_0 is measured (Ho et al., 2020)."""

SMALLEST_PROBABILITY = 1e-12


def add_noise(
    start: Tensor, noise: Tensor, timestep: Tensor, schedule: NoiseSchedule = LINEAR
) -> Tensor:
    """Latents [B, ...] with the noise of whole timesteps [B]."""
    of_start = pick(schedule.kept.sqrt(), timestep, start)
    return of_start * start + pick((1 - schedule.kept).sqrt(), timestep, start) * noise


def noise_error(prediction: Prediction, noise: Tensor) -> Tensor:
    """The mean squared error of the predicted noise of each clip, [B]."""
    return (prediction.noise - noise).square().flatten(1).mean(1)


def variance_bound(
    prediction: Prediction,
    start: Tensor,
    noisy: Tensor,
    timestep: Tensor,
    schedule: NoiseSchedule = LINEAR,
) -> Tensor:
    """The variational bound of each clip in bits per value, [B] (Nichol and Dhariwal, 2021).

    It is the divergence of the step's true distribution from the network's, and at timestep 0 the
    likelihood of x_0. Gradients reach the variance only, not the noise.
    """
    assert prediction.share is not None
    noise = prediction.noise.detach()
    sigma, of_clean = (
        pick(table, timestep, start) for table in (schedule.sigmas, schedule.kept.sqrt())
    )
    largest = pick(schedule.betas.log(), timestep, start)
    smallest = pick(schedule.posterior_log_variance, timestep, start)
    of_start, of_noisy = (
        pick(factors, timestep, start) for factors in schedule.posterior_mean_factors
    )
    predicted = noisy / of_clean - sigma * noise
    mean = of_start * predicted + of_noisy * noisy
    log_variance = torch.lerp(smallest, largest, (prediction.share + 1) / 2)
    true_mean = of_start * start + of_noisy * noisy
    divergence = gaussian_divergence(true_mean, smallest, mean, log_variance)
    likelihood = discrete_log_likelihood(start, mean, log_variance)
    values = torch.where(timestep.view(-1, *[1] * (start.ndim - 1)) == 0, -likelihood, divergence)
    return values.flatten(1).mean(1) / math.log(2)


def gaussian_divergence(
    mean: Tensor, log_variance: Tensor, other: Tensor, other_log_variance: Tensor
) -> Tensor:
    """The divergence of one normal distribution from another, in nats per value."""
    difference = log_variance - other_log_variance
    squared = (mean - other).square() * torch.exp(-other_log_variance)
    return 0.5 * (difference.exp() - 1 - difference + squared)


def discrete_log_likelihood(x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """The log likelihood of the bin around x under a normal distribution, in nats per value.

    The outermost bins, beyond 0.999, are open, as for pictures.
    """
    scale = torch.exp(-0.5 * log_variance)
    above = normal_cdf(scale * (x - mean + HALF_BIN))
    below = normal_cdf(scale * (x - mean - HALF_BIN))
    probability = torch.where(x < -0.999, above, torch.where(x > 0.999, 1 - below, above - below))
    return probability.clamp_min(SMALLEST_PROBABILITY).log()


def normal_cdf(x: Tensor) -> Tensor:
    """The cumulative standard normal distribution in the tanh approximation of the authors."""
    return 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def pick(table: Tensor, timestep: Tensor, like: Tensor) -> Tensor:
    """The values of a table [N] at timesteps [B], shaped to multiply `like` [B, ...].

    Tables are computed in float64: 1 - a_t of the first timesteps has few digits in float32.
    """
    values = table[timestep.long().cpu()].to(like)
    return values.view(-1, *[1] * (like.ndim - 1))
