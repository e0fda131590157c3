"""From anybody's clips to a scene's: small, lossless files that every run reads in no time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from odvae_core.evaluation import list_videos
from odvae_core.video import VideoError, VideoReader, VideoWriter

from ..config import ConfigError
from .scene import HELD_OUT, SIDE

FEWEST, MOST = 66, 720
"""Frames that a clip must have (33 at stride 2), and those that are used of it."""

FIFTH = 5
CHUNK = 16


def prepare_clips(given: Path, patterns: Sequence[str], output: Path) -> tuple[Path, list[str]]:
    """Scale all clips of a folder to the short side `SIDE`: their folder, and who was left out.

    `patterns` name the clips that are held out; without any, every fifth clip is, in the order of
    names. What was prepared before is not prepared again. Raises ConfigError where no clip is left
    to train on, or to evaluate on.
    """
    clips = list_videos([given])
    held_out = choose_held_out(list(clips), patterns)
    folder = output / f"clips-{identify(clips, held_out)}"
    folder.mkdir(parents=True, exist_ok=True)
    left_out = []
    for number, (name, path) in enumerate(clips.items()):
        part = HELD_OUT.removesuffix("*") if name in held_out else "train-"
        small = folder / f"{part}{number:03d}-{path.name}.mkv"
        try:
            if not small.exists():
                shrink(path, small)
        except VideoError as error:
            left_out.append(str(error))
    for pattern in ("train-*", HELD_OUT):
        if not any(folder.glob(pattern)):
            raise ConfigError(
                f"{given}: of {len(clips)} clips none is left for {pattern.removesuffix('-*')} "
                f"({'; '.join(left_out[:3])}); add clips, or change --held-out"
            )
    return folder, left_out


def choose_held_out(names: Sequence[str], patterns: Sequence[str]) -> set[str]:
    """The names that a pattern fits; without patterns every fifth, and at least the last.

    Raises ConfigError where patterns fit none.
    """
    if not patterns:
        return set(names[FIFTH - 1 :: FIFTH] or names[-1:])
    found = {name for name in names for pattern in patterns if fnmatchcase(name, pattern)}
    if not found:
        raise ConfigError(f"--held-out {' '.join(patterns)} names none of {', '.join(names)}")
    return found


def identify(clips: Mapping[str, Path], held_out: set[str]) -> str:
    """What tells one choice of clips from another."""
    facts = [(name, path.stat().st_size, name in held_out) for name, path in clips.items()]
    return hashlib.sha256(repr((SIDE, MOST, facts)).encode()).hexdigest()[:8]


def shrink(path: Path, small: Path) -> None:
    """Write a clip's first frames at the short side `SIDE`; the colours alone lose a little.

    Raises VideoError: unreadable, too small or too short.
    """
    with VideoReader(path) as reader:
        if min(reader.size) < SIDE:
            raise VideoError(f"{path}: has a short side of {min(reader.size)}; {SIDE} is needed")
    with (
        VideoReader(path, short_side=SIDE, frames=MOST) as reader,
        VideoWriter(small, reader.size, reader.fps, quality=0) as writer,
    ):
        frames = 0
        for chunk in reader.chunks(CHUNK):
            writer.write(chunk.video)
            frames += chunk.video.shape[2]
        if frames < FEWEST:
            raise VideoError(f"{path}: has {frames} frames; {FEWEST} are needed")
