"""What the configuration says of the training data; `config.py` takes it into the whole."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SourceConfig:
    """One of the places that samples come from.

    `place` is a folder, searched with all folders in it for videos and pictures, or a list of
    clips: CSV or JSONL with `path` and, where wanted, `start` and `end` in seconds and `sha256`. It
    is relative to `data.path`. `include` are patterns such as "*.mp4" or "street/*", one of which a
    clip's name must match. `weight` is the source's part of the samples, against the sum over the
    sources.
    """

    place: str = "."
    weight: float = 1.0
    include: tuple[str, ...] = ("*",)


@dataclass(frozen=True)
class DataConfig:
    """Where samples come from, and how they are cut.

    `path`: a folder or a list of clips. `held_out`: patterns of clips that are kept for evaluation.
    `rendered`: the part of samples that is drawn instead of read.
    `strides`: the smallest and the largest step between two frames of a sample.
    `sides`: the smallest and the largest short side that a clip is scaled to before the crop; 0 is
    the clip's own. Clips are never enlarged, and never made smaller than the crop: (0, 0) crops out
    of the native size, (1, 1) scales the short side to the crop itself.
    `crop`: "random" or "center". `augment`: "none", "mirror" (left to right), or "strong" (all
    mirrors, time reversed, rows and columns exchanged, and colours).
    `cache`: decode all clips once and keep them in memory at the short sides `kept_sides`, of which
    the largest is then the clip's own: for few, short clips. Else frames are decoded as needed.
    `broken_limit`: the part of the clips that may be unreadable before that is an error.
    """

    path: str = "clips"
    sources: tuple[SourceConfig, ...] = (SourceConfig(),)
    held_out: tuple[str, ...] = ()
    rendered: float = 0.0
    strides: tuple[int, int] = (1, 1)
    sides: tuple[int, int] = (0, 0)
    crop: str = "center"
    augment: str = "none"
    cache: bool = False
    kept_sides: tuple[int, ...] = (360, 180)
    broken_limit: float = 0.2
