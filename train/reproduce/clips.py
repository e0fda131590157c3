"""Small, lossless copies of the user's clips, which are fast to read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from odvae_core.evaluation import list_videos
from odvae_core.video import VideoError, VideoReader, VideoWriter

from ..config import ConfigError
from .experiment import HELD_OUT, SIDE

FEWEST, MOST = 66, 720
"""The frames that a clip must have (33 at stride 2), and the largest number that is used."""

FIFTH = 5
CHUNK = 16


def prepare_clips(given: Path, patterns: Sequence[str], output: Path) -> tuple[Path, list[str]]:
    """Scale all clips of a folder to the short side `SIDE`: the new folder, and the skipped clips.

    `patterns` name the clips that are held out; without patterns every fifth clip is, in the order
    of names. Existing copies are used again. Raises ConfigError where no clip is left to train on,
    or to evaluate on.
    """
    clips = list_videos([given])
    held_out = choose_held_out(list(clips), patterns)
    folder = output / f"clips-{hash_choice(clips, held_out)}"
    folder.mkdir(parents=True, exist_ok=True)
    left_out = []
    for number, (name, path) in enumerate(clips.items()):
        part = HELD_OUT.removesuffix("*") if name in held_out else "train-"
        small = folder / f"{part}{number:03d}-{path.name}.mkv"
        try:
            if not small.exists():
                write_small_clip(path, small)
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
    """The names that match a pattern; without patterns every fifth, and at least the last.

    Raises ConfigError where the patterns match none.
    """
    if not patterns:
        return set(names[FIFTH - 1 :: FIFTH] or names[-1:])
    found = {name for name in names for pattern in patterns if fnmatchcase(name, pattern)}
    if not found:
        raise ConfigError(f"--held-out {' '.join(patterns)} matches none of {', '.join(names)}")
    return found


def hash_choice(clips: Mapping[str, Path], held_out: set[str]) -> str:
    """A hash of the clips and of those held out, for the name of their folder."""
    facts = [(name, path.stat().st_size, name in held_out) for name, path in clips.items()]
    return hashlib.sha256(repr((SIDE, MOST, facts)).encode()).hexdigest()[:8]


def write_small_clip(path: Path, small: Path) -> None:
    """Write a clip's first frames at the short side `SIDE`, lossless except for the colour space.

    Raises VideoError where the clip is unreadable, too small or too short.
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
