"""Choosing a clip: from the sources by their weights, within a source by length."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from ..config import ConfigError
from ..dice import Dice
from .clips import Clip, Skip
from .cutting import find_span

NAMED = 5  # clips that an error names


@dataclass(frozen=True)
class Source:
    """What one of the configuration's sources holds."""

    weight: float
    clips: Sequence[Clip]


@dataclass(frozen=True)
class Pool:
    """The clips that samples of one shape can be cut from, and those that are left out for it.

    `ends` are the sums of the clips' chances so far; the last one is 1.
    """

    clips: Sequence[Clip]
    ends: Sequence[float]
    skipped: tuple[Skip, ...]

    def choose(self, dice: Dice) -> Clip:
        """Draw a clip."""
        return self.clips[min(bisect_right(self.ends, dice.uniform()), len(self.clips) - 1)]


def make_pool(sources: Sequence[Source], frames: int, size: int, stride: int) -> Pool:
    """The clips for samples of so many frames, `stride` apart at least, and pixels a side.

    Single pictures are for samples of one frame, which are cut from nothing else where there are
    any. Raises ConfigError, with the reasons of the first clips, where none is left.
    """
    groups = [(source.weight, pick_kind(source.clips, sources, frames)) for source in sources]
    skipped: list[Skip] = []
    chances: list[tuple[Clip, float]] = []
    for weight, clips in groups:
        reasons = [find_lack(clip, frames, size, stride) for clip in clips]
        skipped += [
            Skip(clip.name, lack) for clip, lack in zip(clips, reasons, strict=True) if lack
        ]
        fitting = [clip for clip, lack in zip(clips, reasons, strict=True) if not lack]
        length = sum(clip.frames for clip in fitting)
        chances += [(clip, weight * clip.frames / length) for clip in fitting]
    total = sum(chance for _, chance in chances)
    if not chances:
        raise ConfigError(
            f"no clip is left for samples of {frames} frames of {size}x{size}: "
            f"{describe(skipped)}; use smaller samples, or other clips in data.path"
        )
    ends = list(accumulate(chance / total for _, chance in chances))
    return Pool([clip for clip, _ in chances], ends, tuple(skipped))


def pick_kind(clips: Sequence[Clip], sources: Sequence[Source], frames: int) -> Sequence[Clip]:
    """The pictures of a source or its clips, whichever samples of so many frames are cut from."""
    if frames > 1:
        return [clip for clip in clips if clip.frames > 1]
    if any(clip.frames == 1 for source in sources for clip in source.clips):
        return [clip for clip in clips if clip.frames == 1]
    return clips


def find_lack(clip: Clip, frames: int, size: int, stride: int) -> str:
    """Why a clip can't give such a sample, "" where it can."""
    span = find_span(frames, stride)
    if clip.frames < span:
        return f"has {clip.frames} frames; {frames} with stride {stride} reach over {span}"
    if clip.side < size:
        return f"has a short side of {clip.side} pixels; the crop is {size}"
    return ""


def describe(skipped: Sequence[Skip]) -> str:
    """The first clips that were left out with their reasons, and how many more there are."""
    if not skipped:
        return "there are only single pictures"
    named = [f"{skip.name} ({skip.reason})" for skip in skipped[:NAMED]]
    more = f", and {len(skipped) - NAMED} more" if len(skipped) > NAMED else ""
    return ", ".join(named) + more
