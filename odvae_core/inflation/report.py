"""The comparison of an inflated VAE with its 2D parent on one picture."""

from __future__ import annotations

import torch
from torch import Tensor

from ..provenance import Proof
from ..vae import VideoVAE

PROOF_SIDE = 64
"""Height and width of the proof's picture, in pixels."""


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
