"""Choosing a clip: a source by its weight, a clip within the source by its length."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from ..config import ConfigError
from ..keyed_random import KeyedRandom
from .clips import Clip, SkippedClip, count_spanned_frames

NAMED = 5  # clips that an error names


@dataclass(frozen=True)
class Source:
    """The clips of one of the configuration's sources, and its weight."""

    weight: float
    clips: Sequence[Clip]


@dataclass(frozen=True)
class ClipPool:
    """The clips for samples of one shape, and those that are too short or too small for it.

    `ends` are the cumulative probabilities of the clips; the last one is 1.
    """

    clips: Sequence[Clip]
    ends: Sequence[float]
    skipped: tuple[SkippedClip, ...]

    def choose(self, rng: KeyedRandom) -> Clip:
        """Draw a clip."""
        return self.clips[min(bisect_right(self.ends, rng.uniform()), len(self.clips) - 1)]


def make_pool(sources: Sequence[Source], frames: int, size: int, stride: int) -> ClipPool:
    """The clips for samples of `frames` frames, at least `stride` apart, and `size` pixels a side.

    Samples of one frame come from single pictures only, where there are any; longer samples never
    do. Raises ConfigError, with the reasons of the first clips, where no clip is left.
    """
    groups = [(source.weight, select_kind(source.clips, sources, frames)) for source in sources]
    skipped: list[SkippedClip] = []
    chances: list[tuple[Clip, float]] = []
    for weight, clips in groups:
        reasons = [find_mismatch(clip, frames, size, stride) for clip in clips]
        pairs = list(zip(clips, reasons, strict=True))
        skipped += [SkippedClip(clip.name, reason) for clip, reason in pairs if reason]
        fitting = [clip for clip, reason in pairs if not reason]
        length = sum(clip.frames for clip in fitting)
        chances += [(clip, weight * clip.frames / length) for clip in fitting]
    total = sum(chance for _, chance in chances)
    if not chances:
        raise ConfigError(
            f"no clip is left for samples of {frames} frames of {size}x{size}: "
            f"{describe_skipped(skipped)}; use smaller samples, or other clips in data.path"
        )
    ends = list(accumulate(chance / total for _, chance in chances))
    return ClipPool([clip for clip, _ in chances], ends, tuple(skipped))


def select_kind(clips: Sequence[Clip], sources: Sequence[Source], frames: int) -> Sequence[Clip]:
    """The clips or the single pictures of a source, depending on the frames of a sample."""
    if frames > 1:
        return [clip for clip in clips if clip.frames > 1]
    if any(clip.frames == 1 for source in sources for clip in source.clips):
        return [clip for clip in clips if clip.frames == 1]
    return clips


def find_mismatch(clip: Clip, frames: int, size: int, stride: int) -> str:
    """The reason why a clip can't give such a sample, "" where it can."""
    span = count_spanned_frames(frames, stride)
    if clip.frames < span:
        return f"has {clip.frames} frames; {frames} with stride {stride} need {span}"
    if clip.side < size:
        return f"has a short side of {clip.side} pixels; the crop is {size}"
    return ""


def describe_skipped(skipped: Sequence[SkippedClip]) -> str:
    """The first skipped clips with their reasons, and the number of the others."""
    if not skipped:
        return "there are only single pictures"
    named = [f"{skip.name} ({skip.reason})" for skip in skipped[:NAMED]]
    more = f", and {len(skipped) - NAMED} more" if len(skipped) > NAMED else ""
    return ", ".join(named) + more
