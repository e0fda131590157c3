"""The discriminator's part of a step: how it pulls on the reconstruction, and its own loss."""

from __future__ import annotations

from typing import NamedTuple

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from .config import DiscriminatorConfig
from .losses import adaptive_weight, fool, tell_apart


class Verdict(NamedTuple):
    """What the discriminator says of a batch.

    `pull` is the gradient of the generator's adversarial loss `fooling` with respect to the
    reconstruction; `loss` is the discriminator's own, to be minimised; the logits are means.
    """

    pull: Tensor
    fooling: Tensor
    loss: Tensor
    logits_real: Tensor
    logits_fake: Tensor


def judge(
    discriminator: nn.Module, reconstruction: Tensor, video: Tensor, config: DiscriminatorConfig
) -> Verdict:
    """One forward for both sides; leaves no gradient in the discriminator.

    `reconstruction`, a leaf that takes gradients, and `video` are [B, 3, T, H, W].
    """
    real, fake = discriminator(torch.cat([video, reconstruction])).chunk(2)
    fooling = fool(fake)
    (pull,) = torch.autograd.grad(fooling, reconstruction, retain_graph=True)
    loss = tell_apart(real, fake, config.loss)
    return Verdict(pull, fooling.detach(), loss, real.detach().mean(), fake.detach().mean())


def balance(
    accelerator: Accelerator,
    reconstruction: Tensor,
    weights: list[nn.Parameter],
    error_pull: Tensor,
    adversarial_pull: Tensor,
) -> Tensor:
    """The adaptive weight from two gradients with respect to the reconstruction: a scalar.

    Each goes back through the last layer alone. Over several processes the gradients are averaged
    before their norms are taken, so that the weight is the one of the whole batch.
    """
    norms = []
    for pull in (error_pull, adversarial_pull):
        gradients = torch.autograd.grad(reconstruction, weights, pull, retain_graph=True)
        joined = torch.cat([gradient.flatten().float() for gradient in gradients])
        norms.append(accelerator.reduce(joined, "mean"))
    return adaptive_weight(norms[0], norms[1])
