"""Temporal-Tiled Encode: IMAGE -> LATENT."""

from __future__ import annotations

from functools import partial

import comfy.sd
import torch
from comfy_api.latest import io
from torch import Tensor

from ..odvae_core.padding import ClipSize, pad
from ..odvae_core.posterior import Posterior
from .comfy_vae import ComfyVideoVAE
from .convert import check_image, make_latent, to_video
from .execution import encode_clip
from .progress import Progress, report_on_node, warn_on_node
from .request import ScheduledNode, make_request, network_of
from .schema import POSTERIORS, check_choice, make_schema, posterior_inputs, schedule_inputs


class TemporalTiledEncode(ScheduledNode):
    """Frames -> latent, for clips of any length and size."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return make_schema(
            "ODVAETemporalTiledEncode",
            inputs=[
                io.Image.Input("image"),
                io.Vae.Input("vae"),
                *schedule_inputs(),
                *posterior_inputs(),
            ],
            outputs=[io.Latent.Output()],
            hidden=[io.Hidden.unique_id],
            search_aliases=["vae encode video", "encode tiled", "video to latent"],
        )

    @classmethod
    def execute(
        cls,
        image: Tensor,
        vae: comfy.sd.VAE,
        schedule: str,
        frames: int,
        tile: int,
        overlap: int,
        posterior: str,
        seed: int,
    ) -> io.NodeOutput:
        node = cls.hidden.unique_id
        network, request = network_of(vae), make_request(schedule, frames, tile, overlap)
        check_posterior(posterior, network)
        check_image(image)
        if image.shape[-1] == 4:
            warn_on_node(node, "OD-VAE: dropped the alpha channel; only the colours are encoded")
        video = to_video(image)
        size = ClipSize.of(video)
        report = partial(report_on_node, node)
        encoded = encode_clip(vae, pad(video, network), request, Progress(), report)
        latent = LatentSampler(posterior, seed).draw(encoded)
        return io.NodeOutput(make_latent(latent, size))


class LatentSampler:
    """Takes latents from posteriors. The pieces of one clip use one sampler, in order."""

    def __init__(self, posterior: str, seed: int):
        self.generator = torch.Generator().manual_seed(seed) if posterior == "sample" else None

    def draw(self, posterior: Posterior) -> Tensor:
        """The mean, or a sample drawn on the CPU, so that a seed gives the same latent on any
        device."""
        return posterior.sample(self.generator) if self.generator else posterior.mode()


def check_posterior(posterior: str, network: object) -> None:
    """Raise `ValueError` if there is no such option, or if this VAE has no variance."""
    check_choice("posterior", posterior, POSTERIORS)
    if posterior == "sample" and isinstance(network, ComfyVideoVAE):
        raise ValueError(
            f"got posterior 'sample' for a VAE that ComfyUI runs ({network.reason}); such a VAE "
            "returns one latent: choose mean"
        )
