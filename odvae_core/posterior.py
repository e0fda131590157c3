"""The encoder's output: a diagonal Gaussian."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .constants import LOGVAR_RANGE


@dataclass(frozen=True)
class Posterior:
    """A diagonal Gaussian: `mean` and `logvar`, both [B, C, T, H, W], unscaled."""

    mean: Tensor
    logvar: Tensor

    @classmethod
    def from_moments(cls, moments: Tensor, clamp: bool = True) -> Posterior:
        """Split moments [B, 2C, T, H, W]; the log variance is clamped to [-30, 20] as published."""
        mean, logvar = moments.chunk(2, dim=1)
        return cls(mean, logvar.clamp(*LOGVAR_RANGE) if clamp else logvar)

    def __repr__(self) -> str:
        b, c, t, h, w = self.mean.shape
        dtype = str(self.mean.dtype).removeprefix("torch.")
        return f"Posterior([{b}, {c}, {t}, {h}, {w}], {dtype} on {self.mean.device})"

    @property
    def std(self) -> Tensor:
        return torch.exp(0.5 * self.logvar)

    @property
    def var(self) -> Tensor:
        return torch.exp(self.logvar)

    def mode(self) -> Tensor:
        """The most likely latent."""
        return self.mean

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """A random latent, drawn one latent frame after the other on the generator's device.

        The same seed gives the same latent, however the clip was cut, as long as one generator goes
        through its pieces.
        """
        device = self.mean.device if generator is None else generator.device
        b, c, t, h, w = self.mean.shape
        noise = [
            torch.randn(b, c, h, w, generator=generator, device=device).to(self.mean)
            for _ in range(t)
        ]
        return self.mean + self.std * torch.stack(noise, dim=2)

    def kl(self) -> Tensor:
        """Divergence from the standard normal of each clip, summed over all else: [B], in nats."""
        return 0.5 * (self.mean.square() + self.var - 1 - self.logvar).sum(dim=(1, 2, 3, 4))
