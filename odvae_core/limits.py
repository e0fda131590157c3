"""Bounds on files and options, in one place, and the checks of them.

Each is more than any real file needs, and no more than a file's size warrants. Larger values
are refused before anything is built, decoded or allocated.
"""

from __future__ import annotations

import math
import re
import stat
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

CONFIG_BYTES = 2**18
"""Of a config.json, or of a configuration within a file of weights; published ones have 2 KiB."""

HEADER_BYTES = 2**24
"""Of a safetensors header; that of a checkpoint of 5,000 tensors has 0.6 MiB."""

JSON_DEPTH = 32
"""Lists and objects within each other in any JSON."""

TENSORS = 2**16
"""Tensors of one file."""

NAME_CHARACTERS = 512
"""Of a tensor's name, the names of the dicts around it included."""

PICKLE_BYTES = 2**26
"""Of a pickle's own program, without the numbers of its tensors."""

PICKLE_DEPTH = 32
"""Dicts within each other in a pickle."""

PICKLE_ENTRIES = 2**20
"""Entries of all dicts of a pickle, each counted once per reference."""

SHARED = 4
"""The largest ratio of the tensors' total size to the file's, where tensors share storage."""

FOLDER_FILES = 4096
"""Files of a folder that is searched for weights."""

COUNT = 2**16
"""The largest count that a configuration may hold: channels, blocks, a resolution."""

LIST_ITEMS = 64
"""Items of a list in a configuration: levels, multipliers, resolutions."""

BLOCK_TENSORS = 4
"""Tensors that every residual block has at least: two norms and two convolutions."""

NUMBER_CHARACTERS = 64
"""Of a number written as text in a file's metadata."""

LARGEST_PICTURE = 2**27
"""Pixels of a picture that is read or written: 134 million, a phone's 108 fit."""

FREE_PICTURE, PIXELS_PER_BYTE = 2**23, 2**12
"""Pixels allowed for any file, and more for each of its bytes: a black 8K frame of H.264 passes."""

LARGEST_SIDE = 2**16
"""Pixels of a picture's side."""

CHUNK_BYTES = 2**28
"""Bytes of float32 video held at once where the reader chooses the number of frames."""

LARGEST_CHUNK = 2**33
"""Bytes of float32 video that a chunk of a requested number of frames may take: 8 GiB."""

LONGEST_CLIP = 10**8
"""Seconds: three years, in the ticks of a written file far from 64 bits."""

FASTEST, SLOWEST = Fraction(100_000), Fraction(1, 100_000)
"""Frames per second."""

MOST_DIGITS = 18
"""Of a whole number in text: it fits into 64 bits."""

LARGEST_COUNT, LARGEST_SEED = 10**9, 2**63 - 1
"""Of frames, pixels and the like on the command line: the square of a count fits into 64 bits."""

LONGEST_NAME, LONGEST_PATH = 255, 4096
"""Bytes of a file's name and path, on most systems."""

MOST_FILES, DEEPEST_FOLDER = 10**6, 64
"""Files and folders below a folder of clips, and folders in each other."""

MOST_BOXES = 10**6
"""Of an MP4 or MOV file: one of a fragment a second lasts for days."""

PIXEL_BYTES = 12
"""A pixel of float32 video."""

FRACTION = re.compile(rf"-?[0-9]{{1,{MOST_DIGITS}}}(/[0-9]{{1,{MOST_DIGITS}}})?")


def check_count(count: int, most: int, what: str) -> None:
    """Raise `ValueError` where there are more of something than a real file has."""
    if count > most:
        raise ValueError(f"it has {count:,} {what}; at most {most:,} are read: give another file")


def check_names(names: Iterable[str]) -> None:
    """Raise `ValueError` where there are too many names of tensors, or one is too long."""
    for count, name in enumerate(names, start=1):
        check_count(count, TENSORS, "tensors")
        check_count(len(name), NAME_CHARACTERS, f"characters in a name ({name[:40]!r}...)")


def check_regular_file(path: Path) -> None:
    """Raise `ValueError` on a folder, a pipe or a device, `OSError` where there is nothing."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a pipe, a socket or a device"
        raise ValueError(f"it is {kind}, not a file: give the path of a file")


def largest_picture(file_bytes: int) -> int:
    """Pixels of the largest picture that a file of so many bytes is read with."""
    return min(LARGEST_PICTURE, FREE_PICTURE + PIXELS_PER_BYTE * file_bytes)


def count_in_flight(height: int, width: int) -> int:
    """The most frames of this size to have in memory at once: at least one."""
    return max(1, CHUNK_BYTES // (PIXEL_BYTES * height * width))


def check_picture(height: int, width: int, pixels: int = LARGEST_PICTURE) -> None:
    """Raise `ValueError` where a picture has more than `pixels`, or a side is too long."""
    if height * width > pixels or max(height, width) > LARGEST_SIDE:
        raise ValueError(
            f"a picture of {height}x{width}; at most {pixels / 1e6:.1f} million pixels and sides "
            f"of {LARGEST_SIDE} are taken: make it smaller"
        )


def check_chunk(frames: int, height: int, width: int) -> None:
    """Raise `ValueError` where frames together take more memory than a chunk may."""
    needed = frames * height * width * PIXEL_BYTES
    if needed > LARGEST_CHUNK:
        raise ValueError(
            f"{frames} frames of {height}x{width} at once take {needed / 2**30:.1f} GiB of memory; "
            f"at most {LARGEST_CHUNK / 2**30:.0f} are taken: ask for fewer frames, or resize them"
        )


def check_rate(fps: Fraction | float) -> Fraction:
    """A rate in frames per second as a fraction. Raises `ValueError`."""
    if not SLOWEST <= fps <= FASTEST:
        raise ValueError(f"got {fps} frames per second; give {float(SLOWEST)} to {int(FASTEST)}")
    return Fraction(fps).limit_denominator(int(FASTEST))


def parse_fraction(text: str) -> Fraction:
    """`24000/1001` -> a fraction. Raises `ValueError`: no such number, or too long a one."""
    if not FRACTION.fullmatch(text):
        raise ValueError(f"got {text[:40]!r}; a fraction is n or n/d of {MOST_DIGITS} digits each")
    return Fraction(text)


def parse_finite(text: str) -> float:
    """`0.18215` -> a number. Raises `ValueError`: none, or one that isn't finite."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"got {text[:40]!r}; give a finite number")
    return number


def parse_count(text: str) -> int:
    """`4` -> 4. Raises `ValueError`: no whole number, 0 or more, of so many digits."""
    if not (text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS):
        raise ValueError(f"got {text[:40]!r}; give a whole number of at most {MOST_DIGITS} digits")
    return int(text)
