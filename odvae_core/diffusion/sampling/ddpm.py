"""Ancestral sampling with the learned variance (Nichol and Dhariwal, 2021), as Latte's authors do.

Nothing is clipped: latents have no range.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from .prediction import Predict, Prediction
from .schedule import LINEAR, NoiseSchedule, space_evenly

DrawNoise = Callable[[int], Tensor]
"""The noise of a step, counted from 0, shaped like the latents."""


def sample_ddpm(
    predict: Predict, noise: Tensor, steps: int, draw: DrawNoise, schedule: NoiseSchedule = LINEAR
) -> Tensor:
    """Latents from `noise` in so many steps, 1 to 1000; published: 250."""
    return last(ddpm_steps(predict, noise, schedule.respace(space_evenly(steps)), draw))


def last(latents: Iterator[Tensor]) -> Tensor:
    """The latents after the last step."""
    return deque(latents, maxlen=1).pop()


def ddpm_steps(
    predict: Predict, x: Tensor, schedule: NoiseSchedule, draw: DrawNoise
) -> Iterator[Tensor]:
    """The latents after each step of a respaced schedule."""
    count = len(schedule.betas)
    for number in range(count):
        index = count - 1 - number
        timestep = schedule.timesteps[index].to(x).expand(len(x))
        prediction = predict(x, timestep)
        x = posterior_mean(schedule, index, x, prediction.noise)
        if index:
            deviation = (0.5 * model_log_variance(schedule, index, prediction)).exp()
            x = x + deviation * draw(number)
        yield x


def posterior_mean(schedule: NoiseSchedule, index: int, x: Tensor, noise: Tensor) -> Tensor:
    """The mean of the step's result, if `noise` is the noise in x."""
    kept = float(schedule.kept[index])
    start = (x - (1 - kept) ** 0.5 * noise) / kept**0.5
    of_start, of_noisy = (float(factors[index]) for factors in schedule.posterior_mean_factors)
    return of_start * start + of_noisy * x


def model_log_variance(schedule: NoiseSchedule, index: int, prediction: Prediction) -> Tensor:
    """The log variance of the step's result; without a learned one that of beta."""
    largest = schedule.betas[index].log().to(prediction.noise)
    if prediction.share is None:
        return largest
    smallest = schedule.posterior_log_variance[index].to(prediction.noise)
    return torch.lerp(smallest, largest, (prediction.share + 1) / 2)
