"""What is known about files, in one file of columns beside the data for all runs that use them."""

from __future__ import annotations

import hashlib
import logging
import os
import zipfile
from pathlib import Path

import numpy as np

from odvae_core.files.atomic import replacing

from .clip_facts import ClipFacts

log = logging.getLogger(__name__)

NAME = ".odvae-clips.npz"
"""Hidden, so that it is not searched for clips."""

RECORD = np.dtype(
    [
        ("key", np.uint64),
        ("bytes", np.int64),
        ("changed_ns", np.int64),
        ("sha256", np.uint64, 4),
        ("content", np.uint64),
        ("side", np.int32),
        ("frames", np.int32),
        ("first", np.float64),
        ("step", np.float64),
        ("times", np.int64),
        ("uneven", np.int64),
    ]
)
"""A file: the hash of its path, its stamp, sha256 (0: not computed) and facts.

Of a file with uneven frames `times` and `uneven` are the start and the number of its frame times.
"""


class ProbeCache:
    """The facts of files by path, size and time of change.

    Paths below the cache's folder are relative to it, so a moved folder keeps its cache.
    """

    def __init__(self, file: Path):
        self.file, self.prefix = file, str(file.parent) + os.sep
        self.records, self.times = read_arrays(file)
        self.rows = {key: row for row, key in enumerate(self.records["key"].tolist())}
        self.added: list[tuple] = []
        self.added_times: list[float] = []

    def find(self, path: Path, stamp: tuple[int, int]) -> tuple[ClipFacts, str] | None:
        """A file's facts and sha256 ("": not known), None where the file is new or was changed."""
        row = self.rows.get(self.hash_path(path))
        if row is None:
            return None
        _, size, changed, digest, content, *values, start, count = self.records[row].item()
        if (size, changed) != stamp:
            return None
        times = tuple(self.times[start : start + count].tolist())
        sha256 = np.array(digest, np.uint64).tobytes().hex() if any(digest) else ""
        return ClipFacts(*values, times, content), sha256

    def add(self, path: Path, stamp: tuple[int, int], facts: ClipFacts, sha256: str) -> None:
        """Add a file's facts, which `write` writes."""
        digest = np.frombuffer(bytes.fromhex(sha256 or 32 * "00"), np.uint64)
        first = len(self.added_times)
        self.added_times += facts.times
        values = (facts.content, facts.side, facts.frames, facts.first, facts.step)
        self.added.append((self.hash_path(path), *stamp, digest, *values, first, len(facts.times)))

    def write(self) -> None:
        """Write what was added; where that fails, a warning is logged."""
        if not self.added:
            return
        try:
            with replacing(self.file, wait=True) as temporary, temporary.open("wb") as file:
                records, times = self.join_added(*read_arrays(self.file))
                np.savez(file, records=records, times=times)
        except OSError as error:
            log.warning(
                "%s can't be written (%s); the next start probes these clips again",
                self.file,
                error.strerror,
            )

    def join_added(self, records: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Records and times that are in the file now, with what was added."""
        added = np.array(self.added, RECORD)
        added["times"] += len(times)
        kept = records[~np.isin(records["key"], added["key"])]
        return np.concatenate([kept, added]), np.concatenate([times, self.added_times])

    def hash_path(self, path: Path) -> int:
        """The key of a path."""
        text = str(path).removeprefix(self.prefix)
        return int.from_bytes(hashlib.blake2b(os.fsencode(text), digest_size=8).digest(), "little")


def read_arrays(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """The records and the frame times of a cache, empty where there is no readable one."""
    if file.exists():
        try:
            with file.open("rb") as opened, np.load(opened, allow_pickle=False) as arrays:
                return arrays["records"].astype(RECORD), arrays["times"]
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            log.warning("%s can't be read (%s); all clips are probed again", file, error)
    return np.empty(0, RECORD), np.empty(0)


def find_cache_file(data: Path, folder: Path) -> Path:
    """The cache beside the data, or in `folder` where nothing can be written beside the data."""
    beside = (data if data.is_dir() else data.parent) / NAME
    return beside if beside.exists() or os.access(beside.parent, os.W_OK) else folder / NAME
