"""Encoder and decoder as modules for torch.export, ONNX and torch.compile (docs/export.md)."""

from __future__ import annotations

from torch import Tensor, nn

from .vae import VideoVAE


class EncoderModule(nn.Module):
    """Mean and log variance of a video's latents, both unscaled, of the whole clip at once.

    [B, 3, 1 + ck, H, W] in [-1, 1] -> twice [B, C, 1 + k, H / s, W / s]. Raises `ValueError` as
    `VideoVAE.encode` does.
    """

    def __init__(self, vae: VideoVAE):
        super().__init__()
        self.vae = vae
        self.train(vae.training)

    def forward(self, video: Tensor) -> tuple[Tensor, Tensor]:
        posterior = self.vae.encode(video)
        return posterior.mean, posterior.logvar


class DecoderModule(nn.Module):
    """Video of unscaled latents, of the whole clip at once.

    [B, C, 1 + k, H, W] -> [B, 3, 1 + ck, sH, sW]. Raises `ValueError` as `VideoVAE.decode` does.
    """

    def __init__(self, vae: VideoVAE):
        super().__init__()
        self.vae = vae
        self.train(vae.training)

    def forward(self, latent: Tensor) -> Tensor:
        return self.vae.decode(latent)
