"""What training minimises: pure functions of tensors, and the module that holds them to a VAE."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from odvae_core.posterior import Posterior
from odvae_core.vae import VideoVAE

from .config import LossConfig


def absolute_error(reconstruction: Tensor, video: Tensor) -> Tensor:
    """Mean of |difference| over all values: a scalar, in float32."""
    return (reconstruction.float() - video.float()).abs().mean()


def squared_error(reconstruction: Tensor, video: Tensor) -> Tensor:
    """Mean of the squared difference over all values: a scalar, in float32."""
    return (reconstruction.float() - video.float()).square().mean()


def divergence(posterior: Posterior, video: Tensor) -> Tensor:
    """KL from the standard normal in nats per value of `video`: a scalar."""
    return posterior.kl().sum() / video.numel()


def clamp_posterior(posterior: Posterior, logvar_range: tuple[float, float]) -> Posterior:
    """A float32 posterior whose log variance can't run away: early spikes reach e^10 otherwise."""
    return Posterior(posterior.mean.float(), posterior.logvar.float().clamp(*logvar_range))


class Objective(nn.Module):
    """A VAE and its loss as one module, so that a distributed wrapper sees one forward."""

    def __init__(self, vae: VideoVAE, config: LossConfig):
        super().__init__()
        self.vae, self.config = vae, config

    def forward(self, video: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Losses of a batch [B, 3, T, H, W]: `total`, and its bare terms `l1`, `l2`, `kl`."""
        posterior = clamp_posterior(self.vae.encode(video), self.config.logvar_range)
        reconstruction = self.vae.decode(posterior.sample(generator))
        terms = {
            "l1": absolute_error(reconstruction, video),
            "l2": squared_error(reconstruction, video),
            "kl": divergence(posterior, video),
        }
        total = sum(getattr(self.config, name) * term for name, term in terms.items())
        return {"total": total, **terms}
