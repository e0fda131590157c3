"""The forward pass of training: encode, sample, decode."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from odvae_core import Whole
from odvae_core.vae import VideoVAE

from .config import LossConfig
from .losses import clamp_posterior


class VaeOutput(NamedTuple):
    """A batch after the VAE.

    `reconstruction` [B', 3, T, H, W]; `mean`, `logvar` and `latent`, a sample, [B, C, T', h, w];
    `variances`: the losses' log variances, scalars by name. All are float32.
    """

    reconstruction: Tensor
    mean: Tensor
    logvar: Tensor
    latent: Tensor
    variances: dict[str, Tensor]


class Objective(nn.Module):
    """A VAE, and the log variances that weigh its losses."""

    def __init__(
        self, vae: VideoVAE, loss: LossConfig, variances: tuple[str, ...], recompute: bool
    ):
        """`variances` names the losses that have a log variance, learnt or constant."""
        super().__init__()
        self.vae, self.loss, self.schedule = vae, loss, Whole(recompute=recompute)
        self.variances = nn.ParameterDict(
            {
                name: nn.Parameter(torch.tensor(loss.logvar), requires_grad=loss.learn_logvar)
                for name in variances
            }
        )

    def forward(
        self, video: Tensor, noise: Tensor, image_latents: Tensor | None = None
    ) -> VaeOutput:
        """Encode, sample with `noise`, and decode; `image_latents` are decoded in the same batch.

        video [B, 3, T, H, W]; noise and image_latents [B, C, T', h, w]. With image_latents the
        reconstruction has 2 B clips.
        """
        moments = self.vae.encode(video, schedule=self.schedule)
        posterior = clamp_posterior(moments.mean, moments.logvar, self.loss.logvar_range)
        latent = posterior.mean + posterior.std * noise
        latents = latent if image_latents is None else torch.cat([latent, image_latents])
        reconstruction = self.vae.decode(latents.to(video), schedule=self.schedule).float()
        variances = {name: weight.clone() for name, weight in self.variances.items()}
        return VaeOutput(reconstruction, posterior.mean, posterior.logvar, latent, variances)

    def last_weights(self) -> list[nn.Parameter]:
        """The kernels of the decoder's last layer, of which the adaptive weight is computed."""
        decoder = self.vae.get_submodule("decoder")
        last = decoder.get_submodule(decoder.order[-1])  # pyright: ignore
        return [weight for weight in last.parameters() if weight.ndim > 1]
