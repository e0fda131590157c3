"""Empty latents, and conversion between a batch of latent frames and latent videos."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import comfy.model_management as mm
import comfy.sd
import torch
from comfy_api.latest import io
from torch import Tensor

from ..odvae_core.padding import ClipSize, latent_frames
from .convert import make_latent
from .request import network_of
from .schema import make_schema

CHANNELS, TIME, SPACE = 4, 4, 8
"""The latent channels and compression of OD-VAE, used if no VAE is connected."""


class EmptyLatent(io.ComfyNode):
    """Sizes in pixels and frames -> an empty latent."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return make_schema(
            "ODVAEEmptyLatent",
            inputs=[
                io.Int.Input("width", default=512, min=8, max=8192),
                io.Int.Input("height", default=512, min=8, max=8192),
                io.Int.Input("frames", default=33, min=1, max=100_000),
                io.Int.Input("batch_size", default=1, min=1, max=4096),
                io.Vae.Input("vae", optional=True),
            ],
            outputs=[io.Latent.Output()],
            search_aliases=["empty video latent", "new latent"],
        )

    @classmethod
    def execute(
        cls, width: int, height: int, frames: int, batch_size: int, vae: comfy.sd.VAE | None = None
    ) -> io.NodeOutput:
        channels, space, count = CHANNELS, SPACE, 1 + -(-(frames - 1) // TIME)
        if vae is not None:
            network = network_of(vae)
            channels = network.latent_channels
            space, count = network.spatial_compression, latent_frames(frames, network)
        samples = torch.zeros(
            batch_size,
            channels,
            count,
            -(-height // space),
            -(-width // space),
            device=mm.intermediate_device(),
        )
        return io.NodeOutput(make_latent(samples, ClipSize(frames, height, width)))


class FramesToLatentVideo(io.ComfyNode):
    """A batch of latent frames [T, C, h, w] -> one or more latent clips [B, C, T / B, h, w]."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return make_schema(
            "ODVAEFramesToLatentVideo",
            inputs=[
                io.Latent.Input("latent"),
                io.Int.Input("clips", default=1, min=1, max=4096),
            ],
            outputs=[io.Latent.Output()],
            search_aliases=["4d to 5d latent", "svd latent", "animatediff latent"],
        )

    @classmethod
    def execute(cls, latent: dict[str, Any], clips: int) -> io.NodeOutput:
        samples = latent["samples"]
        if samples.ndim != 4 or samples.shape[0] % clips:
            raise ValueError(
                f"got a latent of shape {list(samples.shape)} and clips = {clips}; it takes a "
                "batch of frames [frames, channels, height, width] whose number is a multiple of "
                "clips: a latent video needs no conversion, and clips = 1 is always valid"
            )
        return io.NodeOutput(convert_latent(latent, lambda batch: frames_to_clips(batch, clips)))


class LatentVideoToFrames(io.ComfyNode):
    """Latent clips [B, C, T, h, w] -> a batch of latent frames [B * T, C, h, w]."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return make_schema(
            "ODVAELatentVideoToFrames",
            inputs=[io.Latent.Input("latent")],
            outputs=[io.Latent.Output()],
            search_aliases=["5d to 4d latent", "svd latent", "animatediff latent"],
        )

    @classmethod
    def execute(cls, latent: dict[str, Any]) -> io.NodeOutput:
        if latent["samples"].ndim != 5:
            raise ValueError(
                f"got a latent of shape {list(latent['samples'].shape)}; it takes a latent video "
                "[clips, channels, frames, height, width]: a batch of frames needs no conversion"
            )
        return io.NodeOutput(convert_latent(latent, clips_to_frames))


def frames_to_clips(frames: Tensor, clips: int) -> Tensor:
    """[B * T, C, h, w] -> [B, C, T, h, w]."""
    return frames.unflatten(0, (clips, -1)).movedim(1, 2)


def clips_to_frames(video: Tensor) -> Tensor:
    """[B, C, T, h, w] -> [B * T, C, h, w]."""
    return video.movedim(2, 1).flatten(0, 1)


def convert_latent(latent: dict[str, Any], change: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    """The LATENT with its samples changed, and its mask too if it has one value per frame.

    `batch_index` is removed, because its numbers no longer match the batch.
    """
    samples = latent["samples"]
    changed = {name: value for name, value in latent.items() if name != "batch_index"}
    changed["samples"] = change(samples)
    mask = latent.get("noise_mask")
    if mask is not None and mask.ndim == samples.ndim and mask.shape[0] == samples.shape[0]:
        changed["noise_mask"] = change(mask)
    return changed
