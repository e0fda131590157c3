"""CV-VAE's regularisation: the video VAE shares the latent space of a frozen 2D VAE.

Zhao et al., arXiv 2405.20279, section 3.2.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

import odvae_core
from odvae_core.vae import VideoVAE

from .config import ConfigError, ImageSpaceConfig
from .keyed_random import KeyedRandom
from .losses import absolute_error


def map_frames(video: Tensor, mapping: str, group: int, rng: KeyedRandom) -> Tensor:
    """The frames compared with a clip's latent frames: [B, C, 1 + group k, H, W] to 1 + k frames.

    "slice": every group-th frame, the last of each group; "mean": the first frame and the groups'
    means; "random": the first and one frame of each group, the same for the whole batch.
    """
    first, groups = video[:, :, :1], video[:, :, 1:].unflatten(2, (-1, group))
    if mapping == "mean":
        rest = groups.mean(3)
    elif mapping == "slice":
        rest = groups[:, :, :, -1]
    else:
        picked = torch.tensor(
            [rng.integer(0, group - 1) for _ in range(groups.shape[2])], dtype=torch.long
        )
        rest = groups[:, :, torch.arange(len(picked)), picked]
    return torch.cat([first, rest], dim=2)


class ImageSpace:
    """The losses that a frozen 2D VAE adds."""

    def __init__(self, config: ImageSpaceConfig, vae: VideoVAE, device: torch.device):
        """Raises ConfigError where the latents of the 2D VAE and of `vae` have different shapes."""
        self.config, self.group = config, vae.temporal_compression
        self.vae = odvae_core.load(Path(config.vae), device=device, images=True)
        wanted = (1, vae.spatial_compression, vae.latent_channels)
        image = self.vae
        got = (image.temporal_compression, image.spatial_compression, image.latent_channels)
        if got != wanted:
            raise ConfigError(
                f"image_space.vae compresses time {got[0]}x and space {got[1]}x and has {got[2]} "
                f"latent channels; the video VAE needs 1x, {wanted[1]}x and {wanted[2]}: set "
                "image_space.vae to a 2D VAE with such latents"
            )

    @torch.no_grad()
    def encode(self, video: Tensor, noise: Tensor) -> Tensor | None:
        """The 2D encoder's latents of every fourth frame, sampled with `noise`; None if disabled.

        video [B, 3, 1 + 4k, H, W]; noise and latents [B, C, 1 + k, h, w].
        """
        if not self.config.encode:
            return None
        posterior = self.vae.encode(video[:, :, :: self.group])
        return (posterior.mean + posterior.std * noise).float()

    def error(self, latent: Tensor, video: Tensor, rng: KeyedRandom) -> Tensor:
        """Absolute error of the 2D decoder's frames from `latent`, summed over a frame.

        Gradients pass through the 2D decoder to `latent`.
        """
        frames = map_frames(video, self.config.mapping, self.group, rng)
        return absolute_error(self.vae.decode(latent.to(video)), frames)
