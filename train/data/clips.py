"""Clips and the crops that samples are read from: in files, or decoded once and kept in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from odvae_core.video import VideoError, VideoReader
from odvae_core.video.chunk import to_bytes

from ..config import DataConfig
from ..keyed_random import KeyedRandom
from .clip_facts import ClipFacts

CHUNK = 4  # frames that are in memory at full size while they are cropped


@dataclass(frozen=True)
class SkippedClip:
    """A clip that is not used, and the reason."""

    name: str
    reason: str


class BrokenClipError(Exception):
    """A clip could not be read after it was probed successfully."""

    def __init__(self, skip: SkippedClip):
        super().__init__(skip.reason)
        self.skip = skip


@dataclass(frozen=True)
class CropSpec:
    """`frames` frames from `start` on, `stride` apart, scaled to a short side of `side` pixels.

    Of these a square of `size` pixels. `position`: down and to the right, as parts of the spare
    pixels; None is the centre.
    """

    start: int
    frames: int
    stride: int
    side: int
    size: int
    position: tuple[float, float] | None

    def corner(self, height: int, width: int, window: int) -> tuple[int, int]:
        """The upper left corner of a window in a picture; all corners are equally likely."""
        spare = height - window, width - window
        if self.position is None:
            return spare[0] // 2, spare[1] // 2
        pairs = zip(self.position, spare, strict=True)
        top, left = (int(share * (pixels + 1)) for share, pixels in pairs)
        return top, left


def draw_crop_spec(
    rng: KeyedRandom, config: DataConfig, length: int, clip_side: int, frames: int, size: int
) -> CropSpec:
    """A random crop of a clip that has `length` frames and the short side `clip_side`.

    All possible starts are equally likely. The short side is drawn uniformly by its logarithm.
    """
    longest = (length - 1) // (frames - 1) if frames > 1 else 1
    stride = rng.integer(config.strides[0], min(config.strides[1], longest)) if frames > 1 else 1
    start = rng.integer(0, length - count_spanned_frames(frames, stride))
    smallest, largest = (min(side or clip_side, clip_side) for side in config.sides)
    side = round(rng.log_uniform(max(size, smallest), max(size, largest)))
    position = (rng.uniform(), rng.uniform()) if config.crop == "random" else None
    return CropSpec(start, frames, stride, side, size, position)


def count_spanned_frames(frames: int, stride: int) -> int:
    """The frames of a clip from the first to the last of a sample."""
    return (frames - 1) * stride + 1


class Clip(Protocol):
    """A source of crops; `side` is its largest short side."""

    @property
    def name(self) -> str: ...

    @property
    def frames(self) -> int: ...

    @property
    def side(self) -> int: ...

    def read(self, spec: CropSpec) -> Tensor:
        """The crop, [3, T, size, size] in [0, 1]. Raises BrokenClipError."""
        ...


@dataclass(frozen=True, slots=True)
class FileClip:
    """Frames `first` to `first + frames` of a file, decoded for every crop."""

    name: str
    path: Path
    facts: ClipFacts
    first: int
    frames: int

    @property
    def side(self) -> int:
        """The file's own short side."""
        return self.facts.side

    def read(self, spec: CropSpec) -> Tensor:
        """The crop, [3, T, size, size] in [0, 1]. Raises BrokenClipError."""
        pieces = []
        for video in self.decode(spec.start, spec.frames, spec.stride, spec.side):
            height, width = video.shape[-2:]
            top, left = spec.corner(height, width, spec.size)
            pieces.append(video[..., top : top + spec.size, left : left + spec.size].clone())
        return torch.cat(pieces).transpose(0, 1).float() / 255

    def decode(self, start: int, frames: int, stride: int, side: int) -> Iterator[Tensor]:
        """Frames scaled to a short side, in pieces, uint8 [T, 3, H, W]. Raises BrokenClipError."""
        seconds = self.facts.time_before(self.first + start)
        short_side = None if side == self.side else side
        decoded = 0
        try:
            reader = VideoReader(
                self.path, short_side=short_side, start=seconds, frames=frames, stride=stride
            )
            with reader:
                for chunk in reader.chunks(CHUNK):
                    decoded += chunk.video.shape[2]
                    yield to_bytes(chunk.video[0]).transpose(0, 1)
        except VideoError as error:
            raise BrokenClipError(SkippedClip(self.name, strip_path(error, self.path))) from error
        if decoded < frames:
            reason = f"gives {decoded} of {frames} frames from {seconds:.3f} s on"
            raise BrokenClipError(SkippedClip(self.name, reason))


def strip_path(error: VideoError, path: Path) -> str:
    """The text of an error without the file's path on this machine."""
    return str(error).removeprefix(f"{path}: ")


@dataclass(frozen=True)
class MemoryClip:
    """A decoded clip: the same frames at several sizes, large to small, uint8 [T, 3, H, W] each."""

    name: str
    levels: tuple[Tensor, ...]

    @property
    def frames(self) -> int:
        """The number of frames."""
        return len(self.levels[0])

    @property
    def side(self) -> int:
        """The short side of the largest level."""
        return short_side_of(self.levels[0])

    def read(self, spec: CropSpec) -> Tensor:
        """The crop, [3, T, size, size] in [0, 1], from the smallest level that is large enough."""
        level = [level for level in self.levels if short_side_of(level) >= spec.side][-1]
        height, width = level.shape[-2:]
        window = min(round(spec.size * short_side_of(level) / spec.side), height, width)
        top, left = spec.corner(height, width, window)
        frames = level[spec.start :: spec.stride][: spec.frames]
        square = frames[..., top : top + window, left : left + window].float() / 255
        if window != spec.size:
            square = resize_to_square(square, spec.size)
        return square.transpose(0, 1)


def cache_clip(clip: FileClip, sides: Sequence[int]) -> MemoryClip:
    """Decode a clip and keep it in memory at these short sides, none above its own.

    Raises BrokenClipError.
    """
    largest = min(clip.side, max(sides))
    levels = [torch.cat(list(clip.decode(0, clip.frames, 1, largest)))]
    smaller = [side for side in sorted(sides, reverse=True) if side < largest]
    levels += [shrink_clip(levels[0], side) for side in smaller]
    return MemoryClip(clip.name, tuple(levels))


def short_side_of(video: Tensor) -> int:
    """The smaller of height and width, [..., H, W]."""
    return min(video.shape[-2:])


def shrink_clip(video: Tensor, side: int) -> Tensor:
    """Scale a clip [T, 3, H, W] to the short side `side`, antialiased, uint8 to uint8."""
    height, width = video.shape[-2:]
    factor = side / min(height, width)
    size = (max(side, round(height * factor)), max(side, round(width * factor)))
    resized = [
        F.interpolate(part.float(), size, mode="bicubic", antialias=True)
        for part in video.split(16)
    ]
    return torch.cat([part.round().clamp(0, 255).byte() for part in resized])


def resize_to_square(video: Tensor, size: int) -> Tensor:
    """Scale [T, 3, H, W] in [0, 1] to a square, bicubic, antialiased."""
    return F.interpolate(video, (size, size), mode="bicubic", antialias=True).clamp(0, 1)
