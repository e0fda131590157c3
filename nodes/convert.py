"""Conversion between ComfyUI's IMAGE and LATENT and the core's video tensors."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from torch import Tensor

from ..odvae_core.padding import ClipSize, video_frames
from ..odvae_core.vae import VideoVAE

CLIP_SIZE_KEY = "odvae"
"""The key under which a LATENT stores the clip's own size; samplers keep it, files don't."""


def check_image(image: Tensor, name: str = "image") -> None:
    """Raise `ValueError` unless this is an IMAGE [F, H, W, 3 or 4] with at least one frame."""
    if image.ndim != 4 or 0 in image.shape:
        raise ValueError(
            f"got {name} of shape {list(image.shape)}; it takes at least one frame, as [frames, "
            "height, width, channels]: check the output of the node that is connected to it"
        )
    if image.shape[-1] not in (3, 4):
        raise ValueError(
            f"got {name} with {image.shape[-1]} channels; it takes 3 (RGB) or 4 (RGB and alpha): "
            "convert it to RGB first"
        )


def to_video(image: Tensor) -> Tensor:
    """IMAGE [F, H, W, C] in [0, 1] -> video [1, 3, F, H, W] in [-1, 1], without alpha."""
    return image[..., :3].movedim(-1, 0).unsqueeze(0).float() * 2 - 1


def to_image(video: Tensor) -> Tensor:
    """Video [1, 3, F, H, W] in [-1, 1] -> IMAGE [F, H, W, 3] in [0, 1], in the same memory."""
    return video.add_(1).div_(2).clamp_(0, 1)[0].movedim(0, -1)


def to_clips(samples: Tensor, images: bool = False) -> Tensor:
    """The latent's tensor as clips [B, C, T, h, w].

    A batch of frames [T, C, h, w] is one clip, or, with `images`, T clips of one frame. Raises
    `ValueError` on any other number of dimensions.
    """
    if getattr(samples, "is_nested", False):
        samples = samples.unbind()[0]
    if samples.ndim == 5:
        return samples
    if samples.ndim != 4:
        raise ValueError(
            f"got a latent of shape {list(samples.shape)}; it takes [clips, channels, frames, "
            "height, width] or frames [frames, channels, height, width]: connect a latent of a "
            "video, not of audio"
        )
    return samples.unsqueeze(2) if images else samples.movedim(0, 1).unsqueeze(0)


def make_latent(samples: Tensor, size: ClipSize, **more: Any) -> dict[str, Any]:
    """A LATENT that also stores the clip's own size, and `more`."""
    return {"samples": samples, CLIP_SIZE_KEY: {**asdict(size), **more}}


def read_clip_size(latent: dict[str, Any], clips: Tensor, network: VideoVAE) -> ClipSize:
    """The clip's own size if the LATENT stores one that fits these clips, else the full size."""
    space, frames = network.spatial_compression, video_frames(clips.shape[2], network)
    full = ClipSize(frames, clips.shape[3] * space, clips.shape[4] * space)
    stored = latent.get(CLIP_SIZE_KEY)
    if stored is None:
        return full
    size = ClipSize(stored["frames"], stored["height"], stored["width"])
    return size if size.padded(network) == full else full
