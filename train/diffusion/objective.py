"""The losses of a batch: the error of the noise, and the bound of the learned variance."""

from __future__ import annotations

from torch import Tensor

from odvae_core.diffusion import Latte
from odvae_core.diffusion.sampling import (
    LINEAR,
    Prediction,
    add_noise,
    noise_error,
    split_output,
    variance_bound,
)

from .batches import Batch


def latte_losses(network: Latte, batch: Batch) -> dict[str, Tensor]:
    """The terms of the loss by name, each the mean over the clips; their sum is the loss.

    With one weight each, as in Latte's training; "bound" only where the variance is learned.
    """
    noisy = add_noise(batch.start, batch.noise, batch.timestep)
    output = network(noisy, batch.timestep, batch.labels)
    prediction = split_output(output.float(), network.config.in_channels, axis=2)
    losses = {"noise": noise_error(prediction, batch.noise).mean()}
    if prediction.share is not None:
        losses["bound"] = bound_of(prediction, batch, noisy)
    return losses


def bound_of(prediction: Prediction, batch: Batch, noisy: Tensor) -> Tensor:
    """The mean bound over the clips, in bits per value."""
    return variance_bound(prediction, batch.start, noisy, batch.timestep, LINEAR).mean()
