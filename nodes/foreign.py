"""Any causal video VAE of ComfyUI as one of ours: its own encode and decode are the only step."""

from __future__ import annotations

import comfy.sd
import torch
from torch import Tensor, nn

from ..odvae_core.layers.coder_pass import CoderPass
from ..odvae_core.layers.stream import layer_step
from ..odvae_core.posterior import Posterior
from ..odvae_core.vae import VideoVAE

TIME = 4


class Call(nn.Module):
    """Keeps chunks as ComfyUI's VAE wants them: float32, on the CPU, which it takes from there
    itself."""

    whole_clip_only = "Load OD-VAE didn't load this VAE, so its layers can't be run piece by piece"

    def __init__(self):
        super().__init__()
        self.place = nn.Parameter(torch.zeros(()), requires_grad=False)


class ForeignVAE(VideoVAE):
    """HunyuanVideo's, Wan's or another family's VAE: whole, in windows and in tiles, never layer by
    layer.

    Raises `ValueError` where `vae` isn't causal or doesn't compress time 4 times.
    """

    family = "foreign"
    latent_scale, latent_shift = 1.0, 0.0
    temporal_compression = TIME

    def __init__(self, vae: comfy.sd.VAE):
        super().__init__()
        check_causal(vae)
        self.call = Call()
        self.comfy_vae = vae
        self.config = None
        self.spatial_compression = vae.spacial_compression_decode()
        self.latent_channels = vae.latent_channels

    def encoder_pass(self) -> CoderPass:
        step = layer_step(lambda video, _: self.call_encode(video))
        return CoderPass([step], self.call, TIME, 1, self.spatial_compression, 1)

    def decoder_pass(self) -> CoderPass:
        step = layer_step(lambda latent, _: self.call_decode(latent))
        return CoderPass([step], self.call, 1, TIME, 1, self.spatial_compression)

    def estimate_bytes(self, coder: CoderPass, shape: tuple[int, ...]) -> int:
        """What ComfyUI itself counts for this VAE."""
        estimate = getattr(self.comfy_vae, f"memory_used_{coder.coding.value}")
        return int(estimate(shape, self.comfy_vae.vae_dtype))

    def posterior(self, moments: Tensor) -> Posterior:
        """What it gives is its latent: nothing is drawn."""
        return Posterior(moments, torch.full_like(moments, -torch.inf))

    def call_encode(self, video: Tensor) -> Tensor:
        image = (video[0].movedim(0, -1) + 1) / 2
        return self.comfy_vae.encode(image).float()

    def call_decode(self, latent: Tensor) -> Tensor:
        return self.comfy_vae.decode(latent).float().movedim(-1, 1) * 2 - 1


def check_causal(vae: comfy.sd.VAE) -> None:
    """Raise `ValueError` unless 1 + 4k frames are 1 + k latent frames of this VAE."""
    if getattr(vae, "first_stage_model", None) is None:
        raise ValueError("got a VAE without weights; check the node that loads it")
    if vae.latent_dim != 3 or vae.not_video:
        raise ValueError(
            "got a VAE of images; this node takes video VAEs: use ComfyUI's own VAE nodes for "
            "it, or make it a video VAE with Tail-Inflate Checkpoint"
        )
    counts = [vae.upscale_ratio[0](latents) for latents in (1, 2, 5)]
    if counts != [1, 1 + TIME, 1 + 4 * TIME]:
        raise ValueError(
            f"got a video VAE whose 1, 2 and 5 latent frames are {counts} frames; this node takes "
            f"those that compress time {TIME} times, from 1 + {TIME}k frames: use ComfyUI's own "
            "VAE nodes for it"
        )
