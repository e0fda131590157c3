"""The VAE as training runs it: one forward, so that a distributed wrapper sees every weight."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from odvae_core import Whole
from odvae_core.vae import VideoVAE

from .config import LossConfig
from .losses import clamp_posterior


class Coded(NamedTuple):
    """A batch after the VAE.

    `reconstruction` [B', 3, T, H, W]; `mean`, `logvar`, `latent` [B, C, T', h, w], the last a
    sample; `variances`, the learnt log variances of the losses, scalars by name.
    """

    reconstruction: Tensor
    mean: Tensor
    logvar: Tensor
    latent: Tensor
    variances: dict[str, Tensor]


class Objective(nn.Module):
    """A VAE, and the log variances that its losses are weighed with."""

    def __init__(
        self, vae: VideoVAE, loss: LossConfig, variances: tuple[str, ...], recompute: bool
    ):
        """`variances` names the losses that have a log variance, learnt or not."""
        super().__init__()
        self.vae, self.loss, self.schedule = vae, loss, Whole(recompute=recompute)
        self.variances = nn.ParameterDict(
            {
                name: nn.Parameter(torch.tensor(loss.logvar), requires_grad=loss.learn_logvar)
                for name in variances
            }
        )

    def forward(self, video: Tensor, noise: Tensor, others: Tensor | None = None) -> Coded:
        """Encode, sample with `noise` and decode; `others` are latents to decode beside these.

        video [B, 3, T, H, W]; noise and others [B, C, T', h, w]. With others the reconstruction has
        2 B clips.
        """
        moments = self.vae.encode(video, schedule=self.schedule)
        posterior = clamp_posterior(moments.mean, moments.logvar, self.loss.logvar_range)
        latent = posterior.mean + posterior.std * noise
        both = latent if others is None else torch.cat([latent, others])
        reconstruction = self.vae.decode(both.to(video), schedule=self.schedule)
        variances = {name: weight.clone() for name, weight in self.variances.items()}
        return Coded(reconstruction, posterior.mean, posterior.logvar, latent, variances)

    def last_weights(self) -> list[nn.Parameter]:
        """The kernels of the decoder's last layer, which the adaptive weight looks at."""
        decoder = self.vae.get_submodule("decoder")
        last = decoder.get_submodule(decoder.order[-1])  # pyright: ignore
        return [weight for weight in last.parameters() if weight.ndim > 1]
