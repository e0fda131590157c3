"""Clips to cut samples from: in their files, or decoded once and kept in memory."""

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

from .cutting import Cut
from .facts import Facts

CHUNK = 4  # frames that are held at full size while a crop is cut out of them


@dataclass(frozen=True)
class Skip:
    """A clip that was left out, and why."""

    name: str
    reason: str


class BrokenClipError(Exception):
    """A clip that turned out to be unreadable while it was being read."""

    def __init__(self, skip: Skip):
        super().__init__(skip.reason)
        self.skip = skip


class Clip(Protocol):
    """What samples are cut from; `side` is the largest short side that there is."""

    @property
    def name(self) -> str: ...

    @property
    def frames(self) -> int: ...

    @property
    def side(self) -> int: ...

    def read(self, cut: Cut) -> Tensor:
        """The cut, [3, T, size, size] in [0, 1]. Raises BrokenClipError."""
        ...


@dataclass(frozen=True)
class FiledClip:
    """Frames `first` to `first + frames` of a file, decoded when they are asked for."""

    name: str
    path: Path
    facts: Facts
    first: int
    frames: int

    @property
    def side(self) -> int:
        """The file's own short side."""
        return self.facts.side

    def read(self, cut: Cut) -> Tensor:
        """The cut, [3, T, size, size] in [0, 1]. Raises BrokenClipError."""
        pieces = []
        for video in self.decode(cut.start, cut.frames, cut.stride, cut.side):
            height, width = video.shape[-2:]
            top, left = cut.corner(height, width, cut.size)
            pieces.append(video[..., top : top + cut.size, left : left + cut.size].clone())
        return torch.cat(pieces).transpose(0, 1).float() / 255

    def decode(self, start: int, frames: int, stride: int, side: int) -> Iterator[Tensor]:
        """Frames scaled to a short side, in pieces, uint8 [T, 3, H, W]. Raises BrokenClipError."""
        seconds = self.facts.time_before(self.first + start)
        scaled = None if side == self.side else side
        given = 0
        try:
            reader = VideoReader(
                self.path, short_side=scaled, start=seconds, frames=frames, stride=stride
            )
            with reader:
                for chunk in reader.chunks(CHUNK):
                    given += chunk.video.shape[2]
                    yield to_bytes(chunk.video[0]).transpose(0, 1)
        except VideoError as error:
            raise BrokenClipError(Skip(self.name, explain(error, self.path))) from error
        if given < frames:
            reason = f"gives {given} of {frames} frames from {seconds:.3f} s on"
            raise BrokenClipError(Skip(self.name, reason))


def explain(error: VideoError, path: Path) -> str:
    """What an error says of a file, without the file's place on this machine."""
    return str(error).removeprefix(f"{path}: ")


@dataclass(frozen=True)
class KeptClip:
    """A decoded clip: the same frames at several sizes, large to small, uint8 [T, 3, H, W] each."""

    name: str
    levels: tuple[Tensor, ...]

    @property
    def frames(self) -> int:
        """Count of frames."""
        return len(self.levels[0])

    @property
    def side(self) -> int:
        """The short side of the largest level."""
        return short_side(self.levels[0])

    def read(self, cut: Cut) -> Tensor:
        """The cut, [3, T, size, size] in [0, 1], out of the level next above its short side."""
        level = [level for level in self.levels if short_side(level) >= cut.side][-1]
        height, width = level.shape[-2:]
        window = min(round(cut.size * short_side(level) / cut.side), height, width)
        top, left = cut.corner(height, width, window)
        picked = level[cut.start :: cut.stride][: cut.frames]
        square = picked[..., top : top + window, left : left + window].float() / 255
        if window != cut.size:
            square = enlarge_or_shrink(square, cut.size)
        return square.transpose(0, 1)


def keep_clip(clip: FiledClip, sides: Sequence[int]) -> KeptClip:
    """Decode a clip once and keep it at these short sides, none above its own.

    Raises BrokenClipError.
    """
    largest = min(clip.side, max(sides))
    levels = [torch.cat(list(clip.decode(0, clip.frames, 1, largest)))]
    levels += [shrink(levels[0], side) for side in sorted(sides, reverse=True) if side < largest]
    return KeptClip(clip.name, tuple(levels))


def short_side(video: Tensor) -> int:
    """The smaller of height and width, [..., H, W]."""
    return min(video.shape[-2:])


def shrink(video: Tensor, side: int) -> Tensor:
    """Scale a clip [T, 3, H, W] until its short side is `side`, antialiased, uint8 to uint8."""
    height, width = video.shape[-2:]
    factor = side / min(height, width)
    size = (max(side, round(height * factor)), max(side, round(width * factor)))
    resized = [
        F.interpolate(part.float(), size, mode="bicubic", antialias=True)
        for part in video.split(16)
    ]
    return torch.cat([part.round().clamp(0, 255).byte() for part in resized])


def enlarge_or_shrink(video: Tensor, size: int) -> Tensor:
    """Scale [T, 3, H, W] in [0, 1] to a square, bicubic, antialiased."""
    return F.interpolate(video, (size, size), mode="bicubic", antialias=True).clamp(0, 1)
