"""Looking at every file of a list once, and remembering it beside the run."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from odvae_core.files.atomic import replacing
from odvae_core.video import ListedClip, VideoError

from .facts import Facts, probe

log = logging.getLogger(__name__)

THREADS = 8


def probe_entries(entries: Sequence[ListedClip], memory: Path) -> dict[Path, Facts | VideoError]:
    """The facts of every file, or why it can't be read; `memory` is a JSON file that keeps them.

    A file whose size or time of change is another is probed again, and so is an unreadable one.
    """
    remembered = recall(memory)
    digests = {entry.file: read_digest(entry) for entry in entries}  # each file once
    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
        look = partial(look_at, remembered)
        probing = pool.map(look, digests, digests.values())
        bar = tqdm(probing, desc="clips", total=len(digests), disable=None)
        records = dict(zip(digests, bar, strict=True))
    known = {str(path): record for path, record in records.items() if isinstance(record, dict)}
    if known != remembered:
        remember(known, memory)
    return {
        path: restore(record) if isinstance(record, dict) else record
        for path, record in records.items()
    }


def read_digest(entry: ListedClip) -> str:
    """The sha256 that a manifest gives for a file; "" is not checked."""
    return str(entry.columns.get("sha256", "")).lower()


def look_at(
    remembered: Mapping[str, dict[str, Any]], path: Path, digest: str
) -> dict[str, Any] | VideoError:
    """A file's record: its stamp, its facts, and its sha256 where the list gives one."""
    try:
        stamp = read_stamp(path)
        old = remembered.get(str(path), {})
        record = old if all(old.get(key) == value for key, value in stamp.items()) else {}
        facts = record.get("facts") or asdict(probe(path))
        found = record.get("sha256") or (hash_file(path) if digest else "")
        if digest and found != digest:
            raise VideoError(
                f"{path}: has the sha256 {found}, the list says {digest}; get the file again"
            )
        return {**stamp, "sha256": found, "facts": facts}
    except VideoError as error:
        return error


def read_stamp(path: Path) -> dict[str, int]:
    """What tells whether a file is still the same. Raises VideoError: there is none."""
    try:
        status = path.stat()
    except OSError as error:
        raise VideoError(f"{path}: {error.strerror}; check the path") from error
    return {"bytes": status.st_size, "changed_ns": status.st_mtime_ns}


def hash_file(path: Path) -> str:
    """The sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def restore(record: Mapping[str, Any]) -> Facts:
    """The facts in a record."""
    facts = record["facts"]
    return Facts(**{**facts, "times": tuple(facts["times"])})


def recall(memory: Path) -> dict[str, dict[str, Any]]:
    """The records of a run's earlier start, none where it has not begun."""
    if not memory.exists():
        return {}
    try:
        return json.loads(memory.read_text(encoding="utf-8"))
    except ValueError as error:
        log.warning("%s can't be read (%s); all clips are probed again", memory, error)
        return {}


def remember(records: Mapping[str, dict[str, Any]], memory: Path) -> None:
    """Write the records; a full disk costs the next start some time, and no more."""
    try:
        with replacing(memory) as aside:
            aside.write_bytes(json.dumps(records).encode())
    except OSError as error:
        log.warning(
            "%s can't be written (%s); the next start probes all clips again",
            memory,
            error.strerror,
        )
