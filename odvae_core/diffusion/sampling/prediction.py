"""What a sampler asks a network for: the noise in the latents, with guidance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..latte import Latte
from ..latte_t2v import LatteT2V
from ..opensora_t2v import OpenSoraT2V


@dataclass(frozen=True)
class Prediction:
    """The noise in latents, and, where the network has learned it, the variance's share.

    `share` is -1 for the posterior's variance and 1 for beta, in logarithms between them.
    """

    noise: Tensor
    share: Tensor | None = None


Predict = Callable[[Tensor, Tensor], Prediction]
"""Noisy latents and timesteps [B], which may be fractions, to the prediction."""


def split_output(output: Tensor, channels: int, axis: int) -> Prediction:
    """A network's output as noise and, where it has twice the channels, the variance's share."""
    if output.shape[axis] == channels:
        return Prediction(output)
    noise, share = output.split(channels, axis)
    return Prediction(noise, share)


def guide(conditional: Predict, unconditional: Predict, scale: float) -> Predict:
    """Classifier-free guidance of the noise; the variance is the conditional prediction's."""

    def predict(x: Tensor, timestep: Tensor) -> Prediction:
        wanted, without = conditional(x, timestep), unconditional(x, timestep)
        return Prediction(without.noise + scale * (wanted.noise - without.noise), wanted.share)

    return predict


def predict_latte(network: Latte, labels: Tensor | None = None, guidance: float = 1.0) -> Predict:
    """Predictions of a Latte for labels [B] (None: an unconditional one), latents [B, T, C, H, W].

    Raises `ValueError` on labels that the network doesn't have.
    """
    if labels is not None and not 0 <= int(labels.min()) <= int(labels.max()) <= network.null_label:
        raise ValueError(
            f"got labels {labels.tolist()}; this model has 0 to {network.null_label - 1}, and "
            f"{network.null_label} for none"
        )

    def condition(on: Tensor | None) -> Predict:
        return lambda x, timestep: split_output(
            network(x, timestep, on), network.config.in_channels, axis=2
        )

    if guidance == 1.0:
        return condition(labels)
    if labels is None:
        raise ValueError(f"got guidance {guidance} without labels; guidance needs them")
    return guide(
        condition(labels), condition(torch.full_like(labels, network.null_label)), guidance
    )


def predict_text(
    network: LatteT2V | OpenSoraT2V,
    positive: tuple[Tensor, Tensor | None],
    negative: tuple[Tensor, Tensor | None],
    guidance: float,
) -> Predict:
    """Predictions for captions, each features [B, L, C] and a mask [B, L] or None.

    Latents are [B, C, T, H, W].
    """

    def condition(caption: tuple[Tensor, Tensor | None]) -> Predict:
        context, mask = caption
        return lambda x, timestep: split_output(
            network(x, timestep, context=context, context_mask=mask),
            network.config.in_channels,
            axis=1,
        )

    return guide(condition(positive), condition(negative), guidance)
