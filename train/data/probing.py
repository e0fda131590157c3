"""Facts about clips: short side and frame times, found once for every file and cached in JSON."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from odvae_core.files.atomic import replacing
from odvae_core.files.tensorfile import hash_file
from odvae_core.video import ListedClip, VideoError, VideoReader
from odvae_core.video.listing import is_picture
from odvae_core.video.source import open_media, tick_of

from ..progress import show_progress

log = logging.getLogger(__name__)

THREADS = 8
CHUNK = 64
HASHED = 65536
"""Bytes at either end of a file that identify its content."""
PREVIEW = (16, 16)  # height and width of frames that are decoded for their times only
EVENNESS = 0.25  # of a step: the largest deviation of evenly spaced frames
TOLERANCE = 0.0005  # seconds: times in lists of clips are rounded


@dataclass(frozen=True)
class ClipFacts:
    """A file's short side in pixels, as a player shows it, and the times of its frames in seconds.

    Frame k is at `first + k * step`, or at `times[k]` where frames are not evenly spaced. `content`
    is a hash of the file's size, beginning and end, the same wherever the file is.
    """

    side: int
    frames: int
    first: float
    step: float
    times: tuple[float, ...] = ()
    content: int = 0

    def time_of(self, frame: int) -> float:
        """The time of a frame in seconds, to within EVENNESS of a step."""
        return self.times[frame] if self.times else self.first + frame * self.step

    def time_before(self, frame: int) -> float:
        """A time between a frame and the one before it: reading from there starts at the frame."""
        if frame == 0:
            return 0.0
        return max(0.0, (self.time_of(frame - 1) + self.time_of(frame)) / 2)

    def count_before(self, seconds: float) -> int:
        """The number of frames before a time."""
        return bisect_left(range(self.frames), seconds - TOLERANCE, key=self.time_of)


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
    """The facts of every file, or its error; `cache_file` is a JSON file with those known.

    A file with another size or time of change is probed again, and so is an unreadable one.
    """
    cached = read_records(cache_file)
    digests = {entry.file: read_digest(entry) for entry in entries}  # each file once
    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
        probing = pool.map(partial(probe_file, cached), digests, digests.values())
        bar = show_progress(probing, desc="clips", total=len(digests), disable=None)
        records = dict(zip(digests, bar, strict=True))
    known = {str(path): record for path, record in records.items() if isinstance(record, dict)}
    if known != cached:
        write_records(known, cache_file)
    return {
        path: restore_facts(record) if isinstance(record, dict) else record
        for path, record in records.items()
    }


def read_digest(entry: ListedClip) -> str:
    """The sha256 of a file in a list of clips, "" where the list has none."""
    return str(entry.columns.get("sha256", "")).lower()


def probe_file(
    cached: Mapping[str, dict[str, Any]], path: Path, digest: str
) -> dict[str, Any] | VideoError:
    """A file's record: size and time of change, facts, and sha256 where the list has one."""
    try:
        stamp = read_stamp(path)
        old = cached.get(str(path), {})
        record = old if all(old.get(key) == value for key, value in stamp.items()) else {}
        facts = record.get("facts", {})
        if "content" not in facts:
            facts = {**asdict(probe_clip(path)), "content": hash_content(path)}
        found = record.get("sha256") or (hash_file(path) if digest else "")
        if digest and found != digest:
            raise VideoError(
                f"{path}: has the sha256 {found}, the list has {digest}; get the file again"
            )
        return {**stamp, "sha256": found, "facts": facts}
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


def read_stamp(path: Path) -> dict[str, int]:
    """Size and time of change of a file. Raises VideoError where it doesn't exist."""
    try:
        status = path.stat()
    except OSError as error:
        raise VideoError(f"{path}: {error.strerror}; check the path") from error
    return {"bytes": status.st_size, "changed_ns": status.st_mtime_ns}


def restore_facts(record: Mapping[str, Any]) -> ClipFacts:
    """The facts in a record."""
    facts = record["facts"]
    return ClipFacts(**{**facts, "times": tuple(facts["times"])})


def read_records(cache_file: Path) -> dict[str, dict[str, Any]]:
    """The cached records, {} where there is no readable file."""
    if not cache_file.exists():
        return {}
    try:
        return json.loads(cache_file.read_text(encoding="utf-8"))
    except ValueError as error:
        log.warning("%s can't be read (%s); all clips are probed again", cache_file, error)
        return {}


def write_records(records: Mapping[str, dict[str, Any]], cache_file: Path) -> None:
    """Write the cache; where that fails, a warning is logged and the next start probes again."""
    try:
        with replacing(cache_file) as temporary:
            temporary.write_bytes(json.dumps(records).encode())
    except OSError as error:
        log.warning(
            "%s can't be written (%s); the next start probes all clips again",
            cache_file,
            error.strerror,
        )
