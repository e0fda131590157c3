"""Temporal-Tiled Decode: LATENT -> IMAGE."""

from __future__ import annotations

from functools import partial
from typing import Any

import comfy.sd
import torch
from comfy_api.latest import io

from ..odvae_core.padding import crop
from .convert import read_clip_size, to_clips, to_image
from .execution import decode_clips
from .latent_space import warn_of_other_space
from .progress import Progress, report_on_node
from .request import ScheduledNode, make_request, network_of
from .schema import make_schema, schedule_inputs


class TemporalTiledDecode(ScheduledNode):
    """Latent -> frames, as many as the encoded clip had."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return make_schema(
            "ODVAETemporalTiledDecode",
            inputs=[io.Latent.Input("latent"), io.Vae.Input("vae"), *schedule_inputs()],
            outputs=[io.Image.Output()],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt],
            search_aliases=["vae decode video", "decode tiled", "latent to video"],
        )

    @classmethod
    def execute(
        cls,
        latent: dict[str, Any],
        vae: comfy.sd.VAE,
        schedule: str,
        frames: int,
        tile: int,
        overlap: int,
    ) -> io.NodeOutput:
        network, request = network_of(vae), make_request(schedule, frames, tile, overlap)
        clips = to_clips(latent["samples"], getattr(vae, "images", False))
        network.check_latent(clips)
        size = read_clip_size(latent, clips, network)
        node = cls.hidden.unique_id
        warn_of_other_space(node, cls.hidden.prompt, network)
        report = partial(report_on_node, node)
        videos = decode_clips(vae, clips, request, Progress(), report)
        images = [to_image(crop(video, size)) for video in videos]
        return io.NodeOutput(images[0] if len(images) == 1 else torch.cat(images))
