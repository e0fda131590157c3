"""Any causal video VAE of ComfyUI's core as a `VideoVAE` with one step: its encode or decode."""

from __future__ import annotations

import comfy.sd
import torch
from torch import Tensor, nn

from ..odvae_core.layers.coder_pass import CoderPass
from ..odvae_core.layers.stream import layer_step
from ..odvae_core.posterior import Posterior
from ..odvae_core.vae import VideoVAE

TIME = 4


class CoderPlacement(nn.Module):
    """The `module` of the coder passes: its one parameter sets the device and dtype of chunks.

    ComfyUI's VAE takes float32 on the CPU and moves it to its device itself.
    """

    def __init__(self, reason: str):
        super().__init__()
        self.whole_clip_only = f"ComfyUI runs this VAE, whose layers this pack can't: {reason}"
        self.device_and_dtype = nn.Parameter(torch.zeros(()), requires_grad=False)


class ComfyVideoVAE(VideoVAE):
    """Wraps a VAE that ComfyUI loaded itself and `adopt` refused.

    It runs on the whole clip, in windows and in tiles, but not layer by layer; `reason` says why.
    Raises `ValueError` if `vae` isn't causal or doesn't compress time 4 times.
    """

    family = "comfyui"
    latent_scale, latent_shift = 1.0, 0.0
    temporal_compression = TIME

    def __init__(self, vae: comfy.sd.VAE, reason: str):
        super().__init__()
        check_causal(vae)
        self.placement, self.reason = CoderPlacement(reason), reason
        self.comfy_vae = vae
        self.config = None
        self.spatial_compression = vae.spacial_compression_decode()
        self.latent_channels = vae.latent_channels

    def encoder_pass(self) -> CoderPass:
        step = layer_step(lambda video, _: self.call_encode(video))
        return CoderPass([step], self.placement, TIME, 1, self.spatial_compression, 1)

    def decoder_pass(self) -> CoderPass:
        step = layer_step(lambda latent, _: self.call_decode(latent))
        return CoderPass([step], self.placement, 1, TIME, 1, self.spatial_compression)

    def estimate_bytes(self, coder: CoderPass, shape: tuple[int, ...]) -> int:
        """ComfyUI's own estimate for this VAE."""
        estimate = getattr(self.comfy_vae, f"memory_used_{coder.coding.value}")
        return int(estimate(shape, self.comfy_vae.vae_dtype))

    def posterior(self, moments: Tensor) -> Posterior:
        """A posterior without variance: ComfyUI's VAE returns the latent itself."""
        return Posterior(moments, torch.full_like(moments, -torch.inf))

    def call_encode(self, video: Tensor) -> Tensor:
        image = (video[0].movedim(0, -1) + 1) / 2
        return self.comfy_vae.encode(image).float()

    def call_decode(self, latent: Tensor) -> Tensor:
        return self.comfy_vae.decode(latent).float().movedim(-1, 1) * 2 - 1


def check_causal(vae: comfy.sd.VAE) -> None:
    """Raise `ValueError` unless this VAE encodes 1 + 4k frames to 1 + k latent frames."""
    if vae.latent_dim != 3 or vae.not_video:
        raise ValueError(
            "got an image VAE; this node takes video VAEs: use ComfyUI's own VAE nodes for "
            "it, or make it a video VAE with Tail-Inflate Checkpoint"
        )
    counts = [vae.upscale_ratio[0](latents) for latents in (1, 2, 5)]
    if counts != [1, 1 + TIME, 1 + 4 * TIME]:
        raise ValueError(
            f"got a video VAE that decodes 1, 2 and 5 latent frames to {counts} frames; this node "
            f"takes VAEs that compress time {TIME} times, from 1 + {TIME}k frames: use ComfyUI's "
            "own VAE nodes for it"
        )
