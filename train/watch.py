"""What an evaluation says of the weights: figures, the latents' statistics, a contact sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from odvae_core.evaluation import evaluate_crops
from odvae_core.vae import VideoVAE

from .sheet import draw_sheet


class Watched:
    """A VAE that reconstructs from the posterior's mode, and remembers what it saw."""

    def __init__(self, vae: VideoVAE):
        self.vae, self.latents = vae, []
        self.device = next(vae.parameters()).device

    @torch.no_grad()
    def __call__(self, video: Tensor) -> Tensor:
        """[B, 3, T, H, W] to the same, on the CPU."""
        latent = self.vae.encode(video.to(self.device)).mode()
        self.latents.append(latent.float().cpu().transpose(0, 1).flatten(1))
        return self.vae.decode(latent).float().cpu()

    def statistics(self) -> dict[str, list[float]]:
        """Mean and standard deviation of each latent channel over all that was seen."""
        values = torch.cat(self.latents, dim=1).double()
        return {"latent_mean": values.mean(1).tolist(), "latent_std": values.std(1).tolist()}


def measure(vae: VideoVAE, crops: dict[int, Tensor]) -> dict[str, Any]:
    """The figures of held-out crops {short side: [N, 3, T, H, W] in [-1, 1]}, and the latents'."""
    watched = Watched(vae)
    return {**evaluate_crops(watched, crops), **watched.statistics()}


def show(vae: VideoVAE, crops: dict[int, Tensor], path: Path) -> None:
    """Draw the contact sheet of the crops of the largest short side."""
    shown = crops[max(crops)]
    draw_sheet(shown, torch.cat([Watched(vae)(crop) for crop in shown.split(1)]), path)
