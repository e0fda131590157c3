"""Choosing a clip: a source by its weight, a clip within the source by its length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..config import ConfigError
from ..keyed_random import KeyedRandom
from .clip_table import measure_clips
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

    `parts`: the clips of each source, and the rows of those that fit. `ends`: the cumulative
    probabilities of all fitting clips; the last one is 1.
    """

    parts: Sequence[tuple[Sequence[Clip], np.ndarray]]
    ends: np.ndarray
    skipped: tuple[SkippedClip, ...]

    def choose(self, rng: KeyedRandom) -> Clip:
        """Draw a clip."""
        position = np.searchsorted(self.ends, rng.uniform(), side="right")
        return self.clip_at(min(int(position), len(self.ends) - 1))

    def clip_at(self, position: int) -> Clip:
        """One of the fitting clips, which are counted over all sources."""
        for clips, rows in self.parts:
            if position < len(rows):
                return clips[int(rows[position])]
            position -= len(rows)
        raise IndexError(position)


def make_pool(sources: Sequence[Source], frames: int, size: int, stride: int) -> ClipPool:
    """The clips for samples of `frames` frames, at least `stride` apart, and `size` pixels a side.

    Samples of one frame come from single pictures only, where there are any; longer samples never
    do. Raises ConfigError, with the reasons of the first clips, where no clip is left.
    """
    measures = [measure_clips(source.clips) for source in sources]
    pictures = frames == 1 and any((lengths == 1).any() for lengths, _ in measures)
    skipped: list[SkippedClip] = []
    parts, chances = [], []
    for source, (lengths, sides) in zip(sources, measures, strict=True):
        usable = lengths == 1 if pictures else lengths >= min(frames, 2)
        fits = (lengths >= count_spanned_frames(frames, stride)) & (sides >= size)
        for row in np.flatnonzero(usable & ~fits):
            clip = source.clips[int(row)]
            skipped.append(SkippedClip(clip.name, describe_mismatch(clip, frames, size, stride)))
        rows = np.flatnonzero(usable & fits)
        parts.append((source.clips, rows))
        chances.append(source.weight * lengths[rows] / lengths[rows].sum())
    joined = np.concatenate(chances)
    if not len(joined):
        raise ConfigError(
            f"no clip is left for samples of {frames} frames of {size}x{size}: "
            f"{describe_skipped(skipped)}; use smaller samples, or other clips in data.path"
        )
    return ClipPool(parts, np.cumsum(joined / np.cumsum(joined)[-1]), tuple(skipped))


def describe_mismatch(clip: Clip, frames: int, size: int, stride: int) -> str:
    """The reason why a clip can't give such a sample."""
    span = count_spanned_frames(frames, stride)
    if clip.frames < span:
        return f"has {clip.frames} frames; {frames} with stride {stride} need {span}"
    return f"has a short side of {clip.side} pixels; the crop is {size}"


def describe_skipped(skipped: Sequence[SkippedClip]) -> str:
    """The first skipped clips with their reasons, and the number of the others."""
    if not skipped:
        return "there are only single pictures"
    named = [f"{skip.name} ({skip.reason})" for skip in skipped[:NAMED]]
    more = f", and {len(skipped) - NAMED} more" if len(skipped) > NAMED else ""
    return ", ".join(named) + more
