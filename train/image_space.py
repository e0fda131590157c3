"""CV-VAE's regularisation: a frozen 2D VAE must understand the video VAE's latents, or it theirs.

Zhao et al., arXiv 2405.20279, section 3.2.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

import odvae_core
from odvae_core.vae import VideoVAE

from .config import ConfigError, ImageSpaceConfig
from .dice import Dice
from .losses import absolute_error


def map_frames(video: Tensor, mapping: str, group: int, dice: Dice) -> Tensor:
    """The frames that stand for a clip's latent frames: [B, C, 1 + group k, H, W] to 1 + k frames.

    "slice": every group-th frame, which is the last of each; "mean": the first, and the groups'
    means; "random": the first, and one frame of each group, the same for the whole batch.
    """
    first, groups = video[:, :, :1], video[:, :, 1:].unflatten(2, (-1, group))
    if mapping == "mean":
        rest = groups.mean(3)
    elif mapping == "slice":
        rest = groups[:, :, :, -1]
    else:
        picked = torch.tensor(
            [dice.integer(0, group - 1) for _ in range(groups.shape[2])], dtype=torch.long
        )
        rest = groups[:, :, torch.arange(len(picked)), picked]
    return torch.cat([first, rest], dim=2)


class ImageSpace:
    """The frozen 2D VAE, and what it says of latents."""

    def __init__(self, config: ImageSpaceConfig, vae: VideoVAE, device: torch.device):
        """Raises ConfigError where the 2D VAE's latents can't be those of `vae`."""
        self.config, self.group = config, vae.temporal_compression
        self.vae = odvae_core.load(Path(config.vae), device=device, images=True)
        wanted = (1, vae.spatial_compression, vae.latent_channels)
        image = self.vae
        got = (image.temporal_compression, image.spatial_compression, image.latent_channels)
        if got != wanted:
            raise ConfigError(
                f"image_space.vae compresses time {got[0]}x and space {got[1]}x and has {got[2]} "
                f"latent channels; the video VAE asks for 1x, {wanted[1]}x and {wanted[2]}: name "
                "the 2D VAE whose latent space it shall share"
            )

    @torch.no_grad()
    def encode(self, video: Tensor, noise: Tensor) -> Tensor | None:
        """The 2D encoder's latents of every fourth frame, sampled with `noise`; None if not asked.

        video [B, 3, 1 + 4k, H, W]; noise and latents [B, C, 1 + k, h, w].
        """
        if not self.config.encode:
            return None
        posterior = self.vae.encode(video[:, :, :: self.group])
        return (posterior.mean + posterior.std * noise).float()

    def error(self, latent: Tensor, video: Tensor, dice: Dice) -> Tensor:
        """Absolute error of the frames that the 2D decoder makes of `latent`, summed over a frame.

        Gradients go through the 2D decoder into `latent`.
        """
        frames = map_frames(video, self.config.mapping, self.group, dice)
        return absolute_error(self.vae.decode(latent.to(video)), frames)
