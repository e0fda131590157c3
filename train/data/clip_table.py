"""Clips of files in columns: a million of them take some hundred megabytes, not gigabytes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .clip_facts import ClipFacts
from .clips import Clip, FileClip

ROW = np.dtype(
    [
        ("side", np.int32),
        ("file_frames", np.int32),
        ("start", np.float64),
        ("step", np.float64),
        ("content", np.uint64),
        ("first", np.int32),
        ("frames", np.int32),
        ("name_end", np.int64),
        ("path_end", np.int64),
    ]
)
"""A clip's facts, its part of the file, and the ends of its name and its path in the texts."""


class ClipTable(Sequence[FileClip]):
    """A sequence of clips, of which an item is made when it is read.

    The path of a clip is stored only where it isn't its name in `folder`.
    """

    def __init__(self, clips: Sequence[FileClip], folder: Path):
        texts, rows, end = [], [], 0
        for clip in clips:
            other = b"" if clip.path == folder / clip.name else os.fsencode(clip.path)
            texts += [os.fsencode(clip.name), other]
            name_end, end = end + len(texts[-2]), end + len(texts[-2]) + len(other)
            facts = clip.facts
            numbers = (facts.side, facts.frames, facts.first, facts.step, facts.content)
            rows.append((*numbers, clip.first, clip.frames, name_end, end))
        self.folder, self.texts = folder, b"".join(texts)
        self.rows = np.array(rows, ROW)
        self.times = {i: clip.facts.times for i, clip in enumerate(clips) if clip.facts.times}

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> FileClip:
        *facts, content, first, frames, name_end, path_end = self.rows[index].item()
        begin = int(self.rows[index - 1]["path_end"]) if index else 0
        name = os.fsdecode(self.texts[begin:name_end])
        other = os.fsdecode(self.texts[name_end:path_end])
        known = ClipFacts(*facts, self.times.get(index, ()), content)
        return FileClip(name, Path(other) if other else self.folder / name, known, first, frames)


def measure_clips(clips: Sequence[Clip]) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of frames and the short sides of clips."""
    if isinstance(clips, ClipTable):
        return clips.rows["frames"], clips.rows["side"]
    pairs = np.array([(clip.frames, clip.side) for clip in clips], np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]
