"""The terms that training minimises, in the units of the papers, and the adversarial ones.

Errors are summed over a frame's values and averaged over frames. The divergence is summed over a
clip and averaged over clips. The authors' trainers do the same.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from odvae_core.posterior import Posterior

from .config import DiscriminatorConfig, LossConfig
from .gradients import mean_over_processes

SMALLEST_NORM, LARGEST_WEIGHT = 1e-4, 1e4
"""Constants of the adaptive weight, as in OD-VAE's trainer."""


def absolute_error(reconstruction: Tensor, video: Tensor) -> Tensor:
    """|difference| summed over a frame's values, mean over frames: [B, C, T, H, W] to a scalar."""
    return sum_over_frame((reconstruction.float() - video.float()).abs())


def squared_error(reconstruction: Tensor, video: Tensor) -> Tensor:
    """Squared difference summed over a frame's values, mean over frames: a scalar."""
    return sum_over_frame((reconstruction.float() - video.float()).square())


def sum_over_frame(error: Tensor) -> Tensor:
    """The sum of [B, C, T, H, W], divided by the B T frames."""
    return error.sum() / (error.shape[0] * error.shape[2])


def perceptual_error(distances: Tensor, video: Tensor) -> Tensor:
    """Mean of LPIPS [B, T], multiplied by the number of values of a frame: a scalar.

    The authors add LPIPS to each pixel's error before they sum.
    """
    return distances.float().mean() * values_of_frame(video)


def values_of_frame(video: Tensor) -> int:
    """The number of values of a frame, C H W."""
    return video[0, :, 0].numel()


def weigh_by_variance(error: Tensor, logvar: Tensor, values: int) -> Tensor:
    """error / exp(logvar) + `values` * logvar: the likelihood of a Laplacian over `values`."""
    return error * torch.exp(-logvar) + values * logvar


def divergence(posterior: Posterior) -> Tensor:
    """KL from the standard normal in nats, summed over a clip, mean over clips: a scalar."""
    return posterior.kl().mean()


def clamp_posterior(mean: Tensor, logvar: Tensor, bounds: tuple[float, float]) -> Posterior:
    """A float32 posterior with a clamped log variance. Without it early spikes reach e^10."""
    return Posterior(mean.float(), logvar.float().clamp(*bounds))


def reconstruction_errors(
    reconstruction: Tensor, video: Tensor, distances: Tensor | None, weights: LossConfig
) -> dict[str, tuple[float, Tensor]]:
    """The errors with a weight, by name: weight and error. `distances` is LPIPS [B, T]."""
    errors = {}
    if weights.l1:
        errors["l1"] = weights.l1, absolute_error(reconstruction, video)
    if weights.l2:
        errors["l2"] = weights.l2, squared_error(reconstruction, video)
    if distances is not None:
        errors["perceptual"] = weights.perceptual_weight, perceptual_error(distances, video)
    return errors


def generator_loss(logits: Tensor) -> Tensor:
    """The adversarial loss of the VAE: minus the mean logit of the reconstructions."""
    return -logits.float().mean()


def discriminator_loss(real: Tensor, fake: Tensor, kind: str) -> Tensor:
    """The discriminator's own loss from both logits, "hinge" or "vanilla": a scalar."""
    activation = {"hinge": lambda x: F.relu(1 + x), "vanilla": F.softplus}[kind]
    return 0.5 * (activation(-real.float()).mean() + activation(fake.float()).mean())


class DiscriminatorOutput(NamedTuple):
    """What the discriminator gives for a batch that the VAE is trained on.

    `gradient` is that of `generator_loss` with respect to the reconstruction; `discriminator_loss`
    still has its graph, and is None where the step doesn't train the discriminator. `values` are
    logged, by name.
    """

    gradient: Tensor
    discriminator_loss: Tensor | None
    values: dict[str, Tensor]


def run_discriminator(
    discriminator: nn.Module, reconstruction: Tensor, video: Tensor, config: DiscriminatorConfig
) -> DiscriminatorOutput:
    """Both adversarial losses from one forward pass; no gradient is left in the discriminator.

    `reconstruction`, a leaf that requires gradients, and `video` are [B, 3, T, H, W].
    """
    real, fake = discriminator(torch.cat([video, reconstruction])).chunk(2)
    loss = generator_loss(fake)
    (gradient,) = torch.autograd.grad(loss, reconstruction, retain_graph=True)
    own_loss = discriminator_loss(real, fake, config.loss)
    values = {"adversarial": loss.detach(), **discriminator_values(own_loss, real, fake)}
    return DiscriminatorOutput(gradient, own_loss, values)


def judge_reconstruction(discriminator: nn.Module, reconstruction: Tensor) -> DiscriminatorOutput:
    """The VAE's adversarial loss alone, of a batch of reconstructions alone.

    `reconstruction` is a leaf that requires gradients, [B, 3, T, H, W].
    """
    loss = generator_loss(discriminator(reconstruction))
    (gradient,) = torch.autograd.grad(loss, reconstruction)
    return DiscriminatorOutput(gradient, None, {"adversarial": loss.detach()})


def judge_apart(
    discriminator: nn.Module, reconstruction: Tensor, video: Tensor, config: DiscriminatorConfig
) -> tuple[Tensor, dict[str, Tensor]]:
    """The discriminator's own loss of two batches, first `video`: with its graph, and to log."""
    real, fake = discriminator(video), discriminator(reconstruction)
    loss = discriminator_loss(real, fake, config.loss)
    return loss, discriminator_values(loss, real, fake)


def discriminator_values(loss: Tensor, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """The logged values of the discriminator's own loss; logits are means."""
    means = {"logits_real": real.detach().mean(), "logits_fake": fake.detach().mean()}
    return {"discriminator": loss.detach(), **means}


def adaptive_weight(reconstruction_gradient: Tensor, adversarial_gradient: Tensor) -> Tensor:
    """The ratio of the gradients' norms, at most 10^4 (VQGAN, eq. 7).

    With this weight the adversarial loss and the others change the last layer equally.
    """
    ratio = reconstruction_gradient.norm() / (adversarial_gradient.norm() + SMALLEST_NORM)
    return ratio.clamp(0, LARGEST_WEIGHT).detach()


def adaptive_weight_of_layer(
    reconstruction: Tensor,
    weights: list[nn.Parameter],
    error_gradient: Tensor,
    adversarial_gradient: Tensor,
) -> Tensor:
    """The adaptive weight from two gradients with respect to the reconstruction: a scalar.

    Each is propagated to the last layer's `weights` only. With several processes the gradients are
    averaged before their norms are taken, which gives the weight of the whole batch.
    """
    joined = []
    for gradient in (error_gradient, adversarial_gradient):
        parts = torch.autograd.grad(reconstruction, weights, gradient, retain_graph=True)
        flat = torch.cat([part.flatten().float() for part in parts])
        joined.append(mean_over_processes(flat))
    return adaptive_weight(joined[0], joined[1])
