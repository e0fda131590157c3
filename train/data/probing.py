"""Facts about clips: short side and frame times, found once for every file and cached."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path

from odvae_core.files.tensorfile import hash_file
from odvae_core.video import ListedClip, VideoError, VideoReader
from odvae_core.video.listing import is_picture
from odvae_core.video.source import open_media, tick_of

from ..progress import show_progress
from .clip_facts import ClipFacts
from .probe_cache import ProbeCache

THREADS = 8
CHUNK = 64
HASHED = 65536
"""Bytes at either end of a file that identify its content."""
PREVIEW = (16, 16)  # height and width of frames that are decoded for their times only
EVENNESS = 0.25  # of a step: the largest deviation of evenly spaced frames


def probe_clip(path: Path) -> ClipFacts:
    """Read a file's facts. Raises VideoError where it can't be read.

    The frame list of an MP4 is used where it is complete and even; of other files every frame is
    decoded once, at a small size.
    """
    with VideoReader(path) as reader:
        side, listed = min(reader.size), reader.frame_count
        first = next(reader.chunks(1)).times[0]
    if is_picture(path):
        return ClipFacts(side, 1, float(first), 0.0)
    if listed:
        facts = fit_even_times(side, read_index(path, first))
        if not facts.times:
            return facts
    return fit_even_times(side, decode_times(path))


def read_index(path: Path, first: Fraction) -> list[Fraction]:
    """The frame times in the container's list. Raises VideoError on a truncated file."""
    with open_media(path) as container:
        stream = container.streams.best("video")
        assert stream, "it was opened before"
        entries = [entry for entry in stream.index_entries if not entry.is_discard]
        ends = max(entry.pos + entry.size for entry in entries)
        if ends > path.stat().st_size:
            raise VideoError(
                f"{path}: has {path.stat().st_size} bytes, its frames end at {ends}; "
                "download or export it again"
            )
        ticks = sorted(entry.timestamp for entry in entries)
        return [first + (tick - ticks[0]) * tick_of(stream) for tick in ticks]


def decode_times(path: Path) -> list[Fraction]:
    """The frame times of a file, all frames of which are decoded."""
    with VideoReader(path, size=PREVIEW) as reader:
        return [time for chunk in reader.chunks(CHUNK) for time in chunk.times]


def fit_even_times(side: int, times: Sequence[Fraction]) -> ClipFacts:
    """Facts with a first time and a step where frames are evenly spaced, else with all times."""
    first, spans = times[0], len(times) - 1
    step = (times[-1] - first) / max(1, spans)
    off = max(abs(time - first - index * step) for index, time in enumerate(times))
    uneven = () if off < EVENNESS * step or not spans else tuple(float(time) for time in times)
    return ClipFacts(side, len(times), float(first), float(step), uneven)


def probe_entries(
    entries: Sequence[ListedClip], cache_file: Path
) -> dict[Path, ClipFacts | VideoError]:
    """The facts of every file, or its error; `cache_file` has those known, and gets the others.

    A file with another size or time of change is probed again, and so is an unreadable one.
    """
    cache = ProbeCache(cache_file)
    digests = {entry.file: read_digest(entry) for entry in entries}  # each file once
    found = {path: find_known(cache, path, digest) for path, digest in digests.items()}
    unknown = [path for path, facts in found.items() if facts is None]
    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
        probing = pool.map(partial(probe_file, digests), unknown)
        bar = show_progress(probing, desc="clips", total=len(unknown), disable=None)
        for path, record in zip(unknown, bar, strict=True):
            found[path] = record if isinstance(record, VideoError) else record.facts
            if isinstance(record, ProbedFile):
                cache.add(path, record.stamp, record.facts, record.sha256)
    cache.write()
    return {path: facts for path, facts in found.items() if facts is not None}


def read_digest(entry: ListedClip) -> str:
    """The sha256 of a file in a list of clips, "" where the list has none."""
    return str(entry.columns.get("sha256", "")).lower()


def find_known(cache: ProbeCache, path: Path, digest: str) -> ClipFacts | None:
    """The cached facts of a file that is unchanged and, where a list says so, has this sha256."""
    try:
        known = cache.find(path, read_stamp(path))
    except VideoError:
        return None  # probed with its error
    return known[0] if known and digest in ("", known[1]) else None


@dataclass(frozen=True)
class ProbedFile:
    """What probing a file found; `stamp` is its size in bytes and its time of change."""

    stamp: tuple[int, int]
    facts: ClipFacts
    sha256: str


def probe_file(digests: Mapping[Path, str], path: Path) -> ProbedFile | VideoError:
    """Probe a file, and compare its sha256 where the list has one."""
    try:
        stamp, facts = read_stamp(path), probe_clip(path)
        digest = digests[path]
        sha256 = hash_file(path) if digest else ""
        if sha256 != digest:
            raise VideoError(
                f"{path}: has the sha256 {sha256}, the list has {digest}; get the file again"
            )
        return ProbedFile(stamp, replace(facts, content=hash_content(path)), sha256)
    except VideoError as error:
        return error


def hash_content(path: Path) -> int:
    """A 64-bit hash of a file's size and of its first and last bytes."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        digest = hashlib.blake2b(str(size).encode(), digest_size=8)
        for start in (0, max(0, size - HASHED)):
            file.seek(start)
            digest.update(file.read(HASHED))
    return int.from_bytes(digest.digest(), "little")


def read_stamp(path: Path) -> tuple[int, int]:
    """Size in bytes and time of change of a file. Raises VideoError where it doesn't exist."""
    try:
        status = path.stat()
    except OSError as error:
        raise VideoError(f"{path}: {error.strerror}; check the path") from error
    return status.st_size, status.st_mtime_ns
