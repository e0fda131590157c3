"""The sample tables of MP4 and MOV, looked at before FFmpeg makes room for what they state."""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from ..limits import MOST_BOXES

CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"}
HEADER, LONG_HEADER = struct.Struct(">I4s"), struct.Struct(">Q")
DEEPEST = 10  # boxes in each other; FFmpeg refuses more
Box = tuple[bytes, int, int]
"""Its kind, and where its content begins and ends in the file."""


def check_tables(file: BinaryIO, length: int) -> None:
    """Raise `ValueError` where a table states more samples than the file has bytes.

    FFmpeg reserves some fifty bytes for each before it reads one. A file that isn't made of boxes
    passes. A compressed header is refused: it would hide the tables.
    """
    for number, (kind, begin, end) in enumerate(walk_boxes(file, 0, length)):
        if number >= MOST_BOXES:
            raise ValueError(f"is made of more than {MOST_BOXES} boxes")
        if kind == b"cmov":
            raise ValueError("has a compressed header")
        count = read_count(file, kind, begin, end)
        if count > length:
            raise ValueError(f"states {count} samples, but has {length} bytes")


def walk_boxes(file: BinaryIO, begin: int, end: int, depth: int = 0) -> Iterator[Box]:
    """The boxes between two places, each before those in it."""
    while begin + HEADER.size <= end:
        file.seek(begin)
        size, kind = HEADER.unpack(file.read(HEADER.size))
        content = begin + HEADER.size
        if size == 1 and content + LONG_HEADER.size <= end:
            (size,) = LONG_HEADER.unpack(file.read(LONG_HEADER.size))
            content += LONG_HEADER.size
        past = begin + size if size else end
        if past < content:
            return  # no box
        yield kind, content, min(past, end)
        if kind in CONTAINERS and depth < DEEPEST:
            yield from walk_boxes(file, content, min(past, end), depth + 1)
        begin = past


def read_count(file: BinaryIO, kind: bytes, begin: int, end: int) -> int:
    """The number of samples that a table states without listing them, else 0."""
    if kind not in (b"stsz", b"trun") or end - begin < 12:
        return 0
    file.seek(begin)
    _, first, second = struct.unpack(">3I", file.read(12))
    if kind == b"trun":
        return first
    return second if first else 0  # of one size; sizes that differ are listed
