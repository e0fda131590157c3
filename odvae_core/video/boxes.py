"""Checks the sample tables of MP4 and MOV before FFmpeg allocates memory for the stated samples."""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from ..limits import MOST_BOXES

CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"}
HEADER, LONG_HEADER = struct.Struct(">I4s"), struct.Struct(">Q")
MAX_DEPTH = 10  # of nested boxes; FFmpeg rejects more
Box = tuple[bytes, int, int]
"""Its type, and where its content starts and ends in the file."""


def check_tables(file: BinaryIO, length: int) -> None:
    """Raise `ValueError` if a table states more samples than the file has bytes.

    FFmpeg allocates about fifty bytes for each sample before it reads one. A file that doesn't
    consist of boxes passes. A compressed header is rejected, because it would hide the tables.
    """
    for number, (kind, start, end) in enumerate(iterate_boxes(file, 0, length)):
        if number >= MOST_BOXES:
            raise ValueError(f"has more than {MOST_BOXES} boxes")
        if kind == b"cmov":
            raise ValueError("has a compressed header")
        count = read_sample_count(file, kind, start, end)
        if count > length:
            raise ValueError(f"states {count} samples, but has {length} bytes")


def iterate_boxes(file: BinaryIO, start: int, end: int, depth: int = 0) -> Iterator[Box]:
    """The boxes between two file positions, each before the boxes that it contains."""
    while start + HEADER.size <= end:
        file.seek(start)
        size, kind = HEADER.unpack(file.read(HEADER.size))
        content = start + HEADER.size
        if size == 1 and content + LONG_HEADER.size <= end:
            (size,) = LONG_HEADER.unpack(file.read(LONG_HEADER.size))
            content += LONG_HEADER.size
        past = start + size if size else end
        if past < content:
            return  # not a box
        yield kind, content, min(past, end)
        if kind in CONTAINERS and depth < MAX_DEPTH:
            yield from iterate_boxes(file, content, min(past, end), depth + 1)
        start = past


def read_sample_count(file: BinaryIO, kind: bytes, start: int, end: int) -> int:
    """The number of samples that a table states without listing them; 0 for other boxes."""
    if kind not in (b"stsz", b"trun") or end - start < 12:
        return 0
    file.seek(start)
    _, first, second = struct.unpack(">3I", file.read(12))
    if kind == b"trun":
        return first
    return second if first else 0  # samples of one size; other sizes are listed
