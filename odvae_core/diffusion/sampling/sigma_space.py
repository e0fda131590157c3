"""Samplers of the probability flow in sigma space: DDIM, Euler, Euler ancestral and PNDM.

With z = x / sqrt(a_t) = x * sqrt(1 + sigma^2) the noisy latents are x_0 + sigma * noise, and a step
of DDIM, as one of PNDM, is dz = noise * dsigma. The functions that end in `steps` yield z after
each step. They take `predict_noise(z, sigma)`, and so run behind any interface.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from .ddpm import DrawNoise, last
from .prediction import Predict
from .schedule import (
    LINEAR,
    TRAINED_STEPS,
    NoiseSchedule,
    check_steps,
    space_leading,
)

PredictNoise = Callable[[Tensor, float], Tensor]
"""The noise in z at a sigma."""

RUNGE_KUTTA_STEPS = 3
"""PNDM's first steps, of the fourth order; the others use their noises (Liu et al., 2022)."""


def sample_ddim(
    predict: Predict, noise: Tensor, steps: int, schedule: NoiseSchedule | None = None
) -> Tensor:
    """Latents by DDIM without noise; `schedule` is a respaced one (None: Open-Sora-Plan's)."""
    schedule = schedule or LINEAR.respace(space_leading(steps))
    sigmas = [*schedule.sigmas.flip(0).tolist(), 0.0]
    predict_noise = in_sigma_space(predict, schedule)
    z = noise * (1 + sigmas[0] ** 2) ** 0.5
    return last(euler_steps(predict_noise, z, sigmas))


def sample_euler(predict: Predict, noise: Tensor, steps: int) -> Tensor:
    """Latents by Euler's method at evenly spaced timesteps."""
    sigmas = space_sigmas(steps)
    z = noise * sigmas[0]
    return last(euler_steps(in_sigma_space(predict), z, sigmas))


def sample_euler_ancestral(predict: Predict, noise: Tensor, steps: int, draw: DrawNoise) -> Tensor:
    """Latents by Euler's method with noise added in each step; Open-Sora-Plan v1.2: 100 steps."""
    sigmas = space_sigmas(steps)
    z = noise * sigmas[0]
    return last(euler_ancestral_steps(in_sigma_space(predict), z, sigmas, draw))


def sample_pndm(predict: Predict, noise: Tensor, steps: int) -> Tensor:
    """Latents by PNDM, in 4 steps or more; Open-Sora-Plan v1.1: 150 steps."""
    timesteps = space_leading(steps).flip(0).tolist()
    z = noise * (1 + LINEAR.sigma_at(timesteps[0]) ** 2) ** 0.5
    z = last(pndm_steps(in_sigma_space(predict), z, timesteps))
    return z / (1 + LINEAR.sigma_at(timesteps[-1]) ** 2) ** 0.5


def in_sigma_space(predict: Predict, schedule: NoiseSchedule = LINEAR) -> PredictNoise:
    """A network's prediction as one in sigma space; timesteps are interpolated."""
    sigmas, timesteps = schedule.sigmas.tolist(), schedule.timesteps.tolist()
    known = dict(zip(sigmas, timesteps, strict=True))

    def predict_noise(z: Tensor, sigma: float) -> Tensor:
        timestep = known[sigma] if sigma in known else LINEAR.timestep_at(sigma)
        times = torch.full(z.shape[:1], float(timestep), device=z.device)
        return predict(z / (1 + sigma**2) ** 0.5, times).noise

    return predict_noise


def space_sigmas(count: int) -> list[float]:
    """The sigmas of `count` evenly spaced timesteps from 999 to 0, fractions included; then 0."""
    check_steps(count)
    timesteps = torch.linspace(0, TRAINED_STEPS - 1, count, dtype=torch.float64).flip(0)
    return [*map(LINEAR.sigma_at, timesteps.tolist()), 0.0]


def euler_steps(
    predict_noise: PredictNoise, z: Tensor, sigmas: Sequence[float]
) -> Iterator[Tensor]:
    """z after each step from one of the descending sigmas to the next."""
    for sigma, following in pairwise(sigmas):
        z = z + (following - sigma) * predict_noise(z, sigma)
        yield z


def euler_ancestral_steps(
    predict_noise: PredictNoise, z: Tensor, sigmas: Sequence[float], draw: DrawNoise
) -> Iterator[Tensor]:
    """As `euler_steps`, but a step goes below the next sigma, and noise brings it back."""
    for number, (sigma, following) in enumerate(pairwise(sigmas)):
        added = (following**2 * (sigma**2 - following**2) / sigma**2) ** 0.5
        lower = (following**2 - added**2) ** 0.5
        z = z + (lower - sigma) * predict_noise(z, sigma)
        if following:
            z = z + added * draw(number)
        yield z


def pndm_steps(
    predict_noise: PredictNoise, z: Tensor, timesteps: Sequence[int]
) -> Iterator[Tensor]:
    """z after each step: three of Runge-Kutta's method, then Adams-Bashforth's, all of order 4.

    `timesteps` descend evenly. It ends at the last one, with the sigma that this has. The
    published code calls the network once more, for a step of length 0.
    """
    check_steps(len(timesteps), RUNGE_KUTTA_STEPS + 1)
    noises: list[Tensor] = []
    for number, (timestep, next_timestep) in enumerate(pairwise(timesteps)):
        sigma, following = LINEAR.sigma_at(timestep), LINEAR.sigma_at(next_timestep)
        noises = [*noises[-3:], predict_noise(z, sigma)]
        if number < RUNGE_KUTTA_STEPS:
            middle = LINEAR.sigma_at(timestep - (timestep - next_timestep) // 2)
            mean = runge_kutta_noise(predict_noise, z, noises[-1], (sigma, middle, following))
        else:
            mean = adams_bashforth_noise(noises)
        z = z + (following - sigma) * mean
        yield z


def runge_kutta_noise(
    predict_noise: PredictNoise, z: Tensor, noise: Tensor, sigmas: tuple[float, float, float]
) -> Tensor:
    """The mean noise of a step from its start, whose noise is known, its middle and its end."""
    start, middle, end = sigmas
    second = predict_noise(z + (middle - start) * noise, middle)
    third = predict_noise(z + (middle - start) * second, middle)
    fourth = predict_noise(z + (end - start) * third, end)
    return (noise + 2 * second + 2 * third + fourth) / 6


def adams_bashforth_noise(noises: Sequence[Tensor]) -> Tensor:
    """The mean noise of a step from those at the starts of it and of the three before it."""
    fourth, third, second, first = noises
    return (55 * first - 59 * second + 37 * third - 9 * fourth) / 24
