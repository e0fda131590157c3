"""Temporal-Tiled Encode: IMAGE -> LATENT."""

from __future__ import annotations

import comfy.sd
import torch
from comfy_api.latest import io
from torch import Tensor

from ..odvae_core.padding import ClipSize, pad
from ..odvae_core.posterior import Posterior
from .convert import check_image, make_latent, to_video
from .execution import encode_clip
from .feedback import Progress, tell, warn
from .foreign import ForeignVAE
from .request import CuttingNode, make_request, network_of
from .schema import POSTERIORS, check_choice, cut_inputs, make_schema, posterior_inputs


class TemporalTiledEncode(CuttingNode):
    """Frames -> latent, for clips of any length and size."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return make_schema(
            "ODVAETemporalTiledEncode",
            inputs=[
                io.Image.Input("image"),
                io.Vae.Input("vae"),
                *cut_inputs(),
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
            warn(node, "OD-VAE: the alpha channel was dropped; the colours beneath it are encoded")
        video = to_video(image)
        size = ClipSize.of(video)
        found = encode_clip(
            vae,
            pad(video, network),
            request,
            Progress(),
            lambda text: tell(node, text),
        )
        return io.NodeOutput(make_latent(Draw(posterior, seed).of(found), size))


class Draw:
    """How a latent is taken from a posterior; the pieces of one clip go through one of these in
    order."""

    def __init__(self, posterior: str, seed: int):
        self.generator = torch.Generator().manual_seed(seed) if posterior == "sample" else None

    def of(self, posterior: Posterior) -> Tensor:
        """Its mean, or a sample drawn on the CPU: the same seed, the same latent, on any device."""
        return posterior.sample(self.generator) if self.generator else posterior.mode()


def check_posterior(posterior: str, network: object) -> None:
    """Raise `ValueError` where this is no way to take a latent, or this VAE has only one."""
    check_choice("posterior", posterior, POSTERIORS)
    if posterior == "sample" and isinstance(network, ForeignVAE):
        raise ValueError(
            "got posterior 'sample' for a VAE that Load OD-VAE didn't load; it gives one latent "
            "only: choose mean"
        )
