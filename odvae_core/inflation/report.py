"""Report of an inflation: what was taken from the 2D parent, with a comparison of both VAEs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..vae import VideoVAE

PROOF_SIDE = 64
"""Height and width of the proof's picture, in pixels."""


@dataclass(frozen=True)
class Proof:
    """One picture through the 2D VAE and through the inflated one: pictures [3, H, W] in [-1, 1].

    `encode_difference` is the largest between the two latent means; `decode_difference` the largest
    between the two pictures decoded from the 2D VAE's latent.
    """

    picture: Tensor
    decoded_2d: Tensor
    decoded_3d: Tensor
    encode_difference: float
    decode_difference: float

    @property
    def decode_psnr(self) -> float:
        """Of the inflated VAE's picture against the 2D VAE's, in dB; infinite where equal."""
        error = (self.decoded_3d - self.decoded_2d).square().mean()
        return float(10 * torch.log10(4 / error))


@dataclass(frozen=True)
class Inflation:
    """What an inflated VAE has from its 2D parent.

    `copied`, `inflated` and `fresh` are keys of its state dict; `differences` say in sentences what
    can't be equal. `source` is the parent's file, with its sha256; None where it was a state dict.
    """

    mode: str
    copied: tuple[str, ...]
    inflated: tuple[str, ...]
    fresh: tuple[str, ...]
    differences: tuple[str, ...]
    proof: Proof
    source: Path | None = None
    source_sha256: str | None = None


@torch.no_grad()
def prove(vae: VideoVAE, parent: VideoVAE) -> Proof:
    """A picture through both; a latent of several branches has the 2D VAE's in each."""
    picture = proof_picture()[None, :, None]
    branches = vae.latent_channels // parent.latent_channels
    latent, latent_3d = parent.encode(picture).mode(), vae.encode(picture).mode()
    decoded = parent.decode(latent)
    latent = latent.repeat(1, branches, 1, 1, 1)
    decoded_3d = vae.decode(latent)
    return Proof(
        picture[0, :, 0],
        decoded[0, :, 0],
        decoded_3d[0, :, 0],
        float((latent_3d - latent).abs().max()),
        float((decoded_3d - decoded).abs().max()),
    )


def proof_picture() -> Tensor:
    """Waves of growing frequency with an edge across: [3, 64, 64] in [-1, 1]."""
    y, x = torch.meshgrid(*[torch.linspace(0, 1, PROOF_SIDE)] * 2, indexing="ij")
    waves = torch.stack(
        [torch.sin(6 * x + 20 * y * y), torch.cos(30 * x * y), torch.sin(25 * x * x)]
    )
    return torch.where(x + y > 1, 0.8 * waves, -0.5 * waves)
