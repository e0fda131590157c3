"""Padding a clip to a size that an encoder takes, and cropping it back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Grid(Protocol):
    """Compression in time and space; every VAE has both, and takes only multiples of them."""

    @property
    def temporal_compression(self) -> int: ...

    @property
    def spatial_compression(self) -> int: ...


@dataclass(frozen=True)
class ClipSize:
    """Frames, height and width of a clip."""

    frames: int
    height: int
    width: int

    @classmethod
    def of(cls, video: Tensor) -> ClipSize:
        """The size of a clip [B, C, T, H, W]."""
        return cls(*video.shape[-3:])

    def padded(self, vae: Grid) -> ClipSize:
        """The smallest size not below this one that `vae` encodes."""
        space = vae.spatial_compression
        return ClipSize(
            video_frames(latent_frames(self.frames, vae), vae),
            -(-self.height // space) * space,
            -(-self.width // space) * space,
        )


def latent_frames(frames: int, vae: Grid) -> int:
    """Latent frames of a clip of so many frames, padded.

    Of all pieces, where the VAE cuts clips into independent ones (`piece_frames`).
    """

    def count(frames: int) -> int:
        return 1 + -(-(frames - 1) // vae.temporal_compression) if frames else 0

    piece = getattr(vae, "piece_frames", None)
    if piece is None:
        return count(frames)
    whole, rest = divmod(frames, piece)
    return whole * count(piece) + count(rest)


def video_frames(latents: int, vae: Grid) -> int:
    """Frames of the padded clip that so many latent frames stand for."""

    def count(latents: int) -> int:
        return 1 + (latents - 1) * vae.temporal_compression if latents else 0

    piece = getattr(vae, "piece_frames", None)
    if piece is None:
        return count(latents)
    whole, rest = divmod(latents, latent_frames(piece, vae))
    return whole * piece + count(rest)


def pad(video: Tensor, vae: Grid) -> Tensor:
    """Extend a clip [B, C, T, H, W] to the size that `ClipSize.padded` gives.

    The last frame is repeated; rows are added at the bottom and columns on the right, mirrored at
    the edge. A clip of a legal size comes back as it is.
    """
    size = ClipSize.of(video)
    target = size.padded(vae)
    return _repeat_last(pad_picture(video, target), target.frames - size.frames)


def crop(video: Tensor, size: ClipSize) -> Tensor:
    """Undo `pad`: a view of the first frames, rows and columns."""
    return video[:, :, : size.frames, : size.height, : size.width]


def pad_stream(chunks: Iterable[Tensor], vae: Grid) -> Iterator[Tensor]:
    """`pad` for a clip in chunks: missing frames are appended as a last chunk."""
    frames, last = 0, None
    for chunk in chunks:
        padded = pad_picture(chunk, ClipSize.of(chunk).padded(vae))
        frames, last = frames + chunk.shape[2], padded[:, :, -1:]
        yield padded
    if last is not None:
        missing = ClipSize(frames, 1, 1).padded(vae).frames - frames
        if missing:
            yield last.expand(-1, -1, missing, -1, -1)


def crop_stream(chunks: Iterable[Tensor], size: ClipSize) -> Iterator[Tensor]:
    """`crop` for a clip that comes in chunks."""
    left = size.frames
    for chunk in chunks:
        if left > 0:
            yield crop(chunk, ClipSize(left, size.height, size.width))
        left -= chunk.shape[2]


def pad_picture(video: Tensor, target: ClipSize) -> Tensor:
    """Mirror every frame's bottom and right edge up to the target's height and width."""
    for dim, length in ((-2, target.height), (-1, target.width)):
        if video.shape[dim] != length:
            video = video.index_select(dim, _mirrored(video.shape[dim], length, video.device))
    return video


def _mirrored(length: int, target: int, device: torch.device) -> Tensor:
    """`target` positions reflected within 0 to length - 1, the edges not repeated."""
    period = max(1, 2 * (length - 1))
    position = torch.arange(target, device=device) % period
    return torch.where(position < length, position, period - position)


def _repeat_last(video: Tensor, count: int) -> Tensor:
    if not count:
        return video
    return torch.cat([video, video[:, :, -1:].expand(-1, -1, count, -1, -1)], dim=2)
