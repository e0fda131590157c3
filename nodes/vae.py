"""`OdvaeVAE`: ComfyUI's VAE around a `VideoVAE`, for every node that takes a VAE."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import comfy.model_management as mm
import comfy.model_patcher
import comfy.sd
import torch
from torch import Tensor

from ..odvae_core.checkpoint.metadata import pack_metadata
from ..odvae_core.formats import CONFIG_KEY
from ..odvae_core.layers.coder_pass import CoderPass, Coding
from ..odvae_core.padding import latent_frames, pad, video_frames
from ..odvae_core.planning import Clip, FreeMemory, Request, find_plans
from ..odvae_core.vae import VideoVAE
from .convert import check_image, to_clips, to_video
from .execution import decode_clips, encode_clip
from .progress import Progress

log = logging.getLogger(__name__)
WORKING_DTYPES = [torch.bfloat16, torch.float32]


class OdvaeVAE(comfy.sd.VAE):
    """ComfyUI's VAE whose `first_stage_model` is a `VideoVAE`.

    The four methods that ComfyUI's nodes call are overridden, so that in every version of ComfyUI
    they use the schedules of this pack, with causal context, progress, cancelling and a smaller
    plan after out-of-memory. `images`: latents without a time axis are separate images, not the
    frames of one clip.
    """

    def __init__(self, network: VideoVAE, dtype: torch.dtype | None = None, images: bool = False):
        with suppress_missing_weights_warning():
            super().__init__(sd={})  # sets every attribute of the installed ComfyUI's VAE
        self.images = images
        self._set_geometry(network)
        self._set_ranges()
        self._set_network(network, dtype)

    def _set_geometry(self, network: VideoVAE) -> None:
        time, space = network.temporal_compression, network.spatial_compression
        self.latent_channels = network.latent_channels
        self.latent_dim = 3
        self.not_video = False
        self.output_channels = 3
        if self.images:  # ComfyUI before 0.33: VAE Encode (for Inpainting) divides sides by it
            self.downscale_ratio = self.upscale_ratio = space
        else:
            self.downscale_ratio = (lambda frames: latent_frames(frames, network), space, space)
            self.upscale_ratio = (lambda frames: video_frames(frames, network), space, space)
        self.downscale_index_formula = self.upscale_index_formula = (time, space, space)
        self.crop_input = True
        self.handles_tiling = True

    def _set_ranges(self) -> None:
        self.process_input = lambda image: image * 2.0 - 1.0
        # In place and returned: ComfyUI 0.33 ignores the returned value, older versions use it.
        self.process_output = lambda image: image.add_(1.0).div_(2.0).clamp_(0.0, 1.0)
        self.memory_used_encode = lambda shape, dtype: self._estimate(Coding.ENCODE, shape)
        self.memory_used_decode = lambda shape, dtype: self._estimate(Coding.DECODE, shape)

    def _estimate(self, coding: Coding, shape: tuple[int, ...]) -> int:
        """Bytes that the best plan needs on the device, at most the device's total memory."""
        network, total = self.first_stage_model, int(mm.get_total_memory(self.device))
        whole_device = FreeMemory(total, 2**63, shared=False)
        clip = Clip(shape, self.device, on_network_device=self.output_device == self.device)
        plans = find_plans(
            network, network.coder_pass(coding), clip, Request(), lambda _: whole_device
        )
        return min(next(plans).need.device, total)

    def _set_network(self, network: VideoVAE, dtype: torch.dtype | None) -> None:
        self.working_dtypes = WORKING_DTYPES
        self.device = mm.vae_device()
        self.vae_dtype = dtype or mm.vae_dtype(self.device, self.working_dtypes)
        self.first_stage_model = network.eval().requires_grad_(False).to(self.vae_dtype)
        if hasattr(mm, "archive_model_dtypes"):  # 0.33
            mm.archive_model_dtypes(self.first_stage_model)
        self.output_device = mm.intermediate_device()
        self.disable_offload = True  # plain torch.nn layers can't be cast one by one
        self.patcher = comfy.model_patcher.ModelPatcher(
            self.first_stage_model,
            load_device=self.device,
            offload_device=mm.vae_offload_device(),
        )
        if hasattr(self, "model_size"):  # 0.8.0 and later
            self.model_size()

    def get_sd(self) -> dict[str, Tensor]:
        """The weights for ComfyUI's nodes that save, with the metadata that `odvae_core.load`
        needs. The metadata are a tensor, so they are kept under any prefix."""
        network = self.first_stage_model
        return {**network.state_dict(), CONFIG_KEY: pack_metadata(network)}

    def encode(self, pixel_samples: Tensor) -> Tensor:
        """IMAGE [F, H, W, C] or clips [B, F, H, W, C] -> mean latents [B, C, T, h, w].

        With `images`, an IMAGE is F separate images -> [F, C, h, w].
        """
        return self._encode(pixel_samples, Request())

    def encode_tiled(
        self,
        pixel_samples: Tensor,
        tile_x: int | None = None,
        tile_y: int | None = None,
        overlap: int | None = None,
        tile_t: int | None = None,
        overlap_t: int | None = None,
    ) -> Tensor:
        """`encode` in tiles of this size in pixels and frames.

        Like ComfyUI's own method, it drops the frames after the last 1 + 4k.
        """
        network = self.first_stage_model
        request = self._tiled_request(tile_x, tile_y, overlap, tile_t, network.encoder_pass())
        if self._are_images(pixel_samples):
            return self._encode(pixel_samples, request)
        frames = pixel_samples.shape[-4]
        dropped = 0 if network.piece_frames else (frames - 1) % network.temporal_compression
        return self._encode(pixel_samples.narrow(-4, 0, frames - dropped), request)

    def decode(self, samples_in: Tensor, vae_options: dict[str, Any] | None = None) -> Tensor:
        """Latents [B, C, T, h, w], or frames [T, C, h, w] -> clips [B, F, H, W, C] in [0, 1].

        With `images`, frames are T separate images -> [T, H, W, C].
        """
        return self._decode(samples_in, Request())

    def decode_tiled(
        self,
        samples: Tensor,
        tile_x: int | None = None,
        tile_y: int | None = None,
        overlap: int | None = None,
        tile_t: int | None = None,
        overlap_t: int | None = None,
    ) -> Tensor:
        """`decode` in tiles of this size in latent pixels and frames.

        Pieces in time keep their causal context, so `overlap_t` is not used.
        """
        network = self.first_stage_model
        space, time = network.spatial_compression, network.temporal_compression
        sides = [side and side * space for side in (tile_x, tile_y, overlap)]
        return self._decode(
            samples,
            self._tiled_request(*sides, tile_t and 1 + (tile_t - 1) * time, network.decoder_pass()),
        )

    def _tiled_request(
        self,
        tile_x: int | None,
        tile_y: int | None,
        overlap: int | None,
        frames: int | None,
        coder: CoderPass,
    ) -> Request:
        """The request of a tiled call, in pixels and video frames; exact in time if the network
        supports it."""
        step, time = coder.spatial_compression, coder.temporal_compression
        tile = min((side for side in (tile_x, tile_y) if side), default=0) // step * step or None
        overlap = tile and min(overlap or 0, tile // 2) // step * step
        if frames is None or self.first_stage_model.piece_frames:
            return Request("auto", None, tile, overlap)
        schedule = "paper" if coder.whole_clip_only else "exact"
        return Request(schedule, 1 + max(1, (frames - 1) // time) * time, tile, overlap)

    def _encode(self, pixels: Tensor, request: Request) -> Tensor:
        pixels, images = self._crop(pixels), self._are_images(pixels)
        clips = pixels if pixels.ndim == 5 else pixels.unsqueeze(1 if images else 0)
        check_image(clips.flatten(0, 1))
        progress = Progress(parts=len(clips))
        latents = []
        for i, clip in enumerate(clips):
            progress.start_part(i)
            video = pad(to_video(clip), self.first_stage_model)
            if video.shape[2] != clip.shape[0]:
                log.info(
                    "OD-VAE: %d frames are encoded as %d, the last repeated",
                    clip.shape[0],
                    video.shape[2],
                )
            report = log.debug if i else log.info
            latents.append(encode_clip(self, video, request, progress, report).mode())
        latent = torch.cat(latents)
        return latent.squeeze(2) if images else latent

    def _decode(self, samples: Tensor, request: Request) -> Tensor:
        clips = to_clips(samples, self.images)
        self.first_stage_model.check_latent(clips)
        videos = decode_clips(self, clips, request, Progress())
        videos = [self.process_output(video) for video in videos]
        video = (videos[0] if len(videos) == 1 else torch.cat(videos)).movedim(1, -1)
        return video.flatten(0, 1) if self._are_images(samples) else video

    def _are_images(self, batch: Tensor) -> bool:
        """Whether a batch of images or latents is of separate images, not of one clip's frames."""
        return self.images and batch.ndim == 4

    def _crop(self, pixels: Tensor) -> Tensor:
        """The centre of the frames, with sides that are multiples of the compression, as ComfyUI
        crops them."""
        step = self.first_stage_model.spatial_compression
        for dim in (-3, -2):
            side = pixels.shape[dim]
            pixels = pixels.narrow(dim, side % step // 2, side // step * step)
        return pixels


@contextmanager
def suppress_missing_weights_warning() -> Iterator[None]:
    """Suppress ComfyUI's log line about missing weights, which are set afterwards."""

    def is_other_record(record: logging.LogRecord) -> bool:
        return "No VAE weights detected" not in record.getMessage()

    root = logging.getLogger()
    root.addFilter(is_other_record)
    try:
        yield
    finally:
        root.removeFilter(is_other_record)
