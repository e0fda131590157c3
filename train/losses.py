"""What training minimises, in the units of the papers: pure functions of tensors.

Errors are summed over a frame's values and averaged over frames, the divergence is summed over a
clip and averaged over clips, as the authors' trainers do.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from odvae_core.posterior import Posterior

from .config import LossConfig

SMALLEST_NORM, LARGEST_WEIGHT = 1e-4, 1e4
"""Of the adaptive weight, as OD-VAE's trainer has them."""


def absolute_error(reconstruction: Tensor, video: Tensor) -> Tensor:
    """|difference| summed over a frame's values, mean over frames: [B, C, T, H, W] to a scalar."""
    return sum_over_frame((reconstruction.float() - video.float()).abs())


def squared_error(reconstruction: Tensor, video: Tensor) -> Tensor:
    """Squared difference summed over a frame's values, mean over frames: a scalar."""
    return sum_over_frame((reconstruction.float() - video.float()).square())


def sum_over_frame(error: Tensor) -> Tensor:
    """[B, C, T, H, W] summed over all, divided by the B T frames."""
    return error.sum() / (error.shape[0] * error.shape[2])


def perceptual_error(distances: Tensor, video: Tensor) -> Tensor:
    """LPIPS [B, T] of frames, counted once for every value of a frame: a scalar.

    The authors add it to each pixel's error before they sum.
    """
    return distances.float().mean() * values_of_frame(video)


def values_of_frame(video: Tensor) -> int:
    """C H W."""
    return video[0, :, 0].numel()


def weigh_by_variance(error: Tensor, logvar: Tensor, values: int) -> Tensor:
    """error / exp(logvar) + logvar for each of `values` values: a Laplacian's likelihood."""
    return error * torch.exp(-logvar) + values * logvar


def divergence(posterior: Posterior) -> Tensor:
    """KL from the standard normal in nats, summed over a clip, mean over clips: a scalar."""
    return posterior.kl().mean()


def clamp_posterior(mean: Tensor, logvar: Tensor, bounds: tuple[float, float]) -> Posterior:
    """A float32 posterior whose log variance can't run away: early spikes reach e^10 otherwise."""
    return Posterior(mean.float(), logvar.float().clamp(*bounds))


def fool(logits: Tensor) -> Tensor:
    """The generator's side: minus the mean of what the discriminator says of its frames."""
    return -logits.float().mean()


def tell_apart(real: Tensor, fake: Tensor, kind: str) -> Tensor:
    """The discriminator's side, "hinge" or "vanilla": a scalar."""
    bend = {"hinge": lambda x: F.relu(1 + x), "vanilla": F.softplus}[kind]
    return 0.5 * (bend(-real.float()).mean() + bend(fake.float()).mean())


def adaptive_weight(reconstruction_gradient: Tensor, adversarial_gradient: Tensor) -> Tensor:
    """How strong the adversarial term must be to pull on the last layer as the others do.

    The ratio of both gradients' norms, at most 10^4 (VQGAN, eq. 7).
    """
    ratio = reconstruction_gradient.norm() / (adversarial_gradient.norm() + SMALLEST_NORM)
    return ratio.clamp(0, LARGEST_WEIGHT).detach()


def reconstruction_errors(
    reconstruction: Tensor, video: Tensor, distances: Tensor | None, weights: LossConfig
) -> dict[str, tuple[float, Tensor]]:
    """The errors that count, by name: weight and error. `distances` is LPIPS [B, T]."""
    errors = {}
    if weights.l1:
        errors["l1"] = weights.l1, absolute_error(reconstruction, video)
    if weights.l2:
        errors["l2"] = weights.l2, squared_error(reconstruction, video)
    if distances is not None:
        errors["perceptual"] = weights.perceptual_weight, perceptual_error(distances, video)
    return errors
