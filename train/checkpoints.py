"""The checkpoints of a run: a kill, a full disk or a flipped bit loses at most the newest one.

A checkpoint is written under a temporary name and renamed when all of it is on the disk, so a
folder `step-00000120` was complete once; its manifest shows whether it still is.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import platform
import re
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from odvae_core import CheckpointError
from odvae_core.files.atomic import sync_folder

from .checkpoint_files import (
    Checkpoint,
    compute_seal,
    count_bytes,
    open_checkpoint,
    read_manifest,
    write_checkpoint,
)

log = logging.getLogger(__name__)

NAME = re.compile(r"step-(\d{8,})(?:-(\d+))?")
"""The step and, where it was saved more than once, the attempt: `step-00000120-2`."""

TEMPORARY = re.compile(NAME.pattern + r"\.tmp-(?P<host>.*)-(?P<pid>\d+)")
"""A folder that is being written or removed, with the host and the process."""

ABANDONED = 24 * 3600
"""Seconds without a change after which a temporary folder is removed, on any host."""

REMEDY = "The run continues, and the next save tries again: make room there, or the folder writable"


@dataclass(frozen=True)
class Retention:
    """Which checkpoints are kept: the `newest`, multiples of `every` (0: none), and the best."""

    newest: int = 3
    every: int = 0

    def __post_init__(self):
        if self.newest < 1 or self.every < 0:
            raise ValueError(
                f"got newest = {self.newest}, every = {self.every}; at least the newest "
                "checkpoint is kept: give newest >= 1 and every >= 0"
            )


class Checkpoints:
    """A run's folder of checkpoints, to which one process writes."""

    def __init__(self, folder: Path, retention: Retention):
        self.folder, self.retention = folder, retention
        folder.mkdir(parents=True, exist_ok=True)
        self.remove_abandoned()

    def save(
        self, step: int, parts: Mapping[str, Any], facts: Mapping[str, Any], best: bool = False
    ) -> Path | None:
        """Write a checkpoint atomically, then remove those that are not kept; its path is returned.

        `parts`: states by name, `facts`: plain values, `best`: whether this is the best so far. A
        step that was saved before gets a second folder, which replaces the first. Where writing
        fails, a warning is logged and None is returned. Raises `TypeError` for values that could
        not be loaded again.
        """
        needed = count_bytes(dict(parts), "parts") + len(json.dumps(dict(facts)))
        temporary = self.name_temporary(f"step-{step:08d}")
        try:
            self.remove_abandoned()
            check_free_space(self.folder, needed)
            write_checkpoint(temporary, step, parts, facts, best)
            path = temporary.rename(self.choose_name(step))
            sync_folder(self.folder)
        except OSError as error:
            log.warning("%s: step %d was not saved (%s). %s", self.folder, step, error, REMEDY)
            return None
        finally:
            remove_folder(temporary)
        self.remove_old(path)
        return path

    def load_newest(self) -> Checkpoint | None:
        """The newest complete checkpoint, None where there are no checkpoints.

        Damaged ones are named in a warning. Raises `CheckpointError` where all are damaged: a new
        run in this folder would remove checkpoints that might be repaired.
        """
        paths = self.list_paths()
        for path in reversed(paths):
            try:
                return open_checkpoint(path)
            except CheckpointError as error:
                log.warning("skipped: %s", error)
        if paths:
            raise CheckpointError(
                f"none of the {len(paths)} checkpoints in {self.folder} is complete: restore "
                "one from a copy, or move them away to start from the beginning"
            )
        return None

    def find(self, seal: str) -> Checkpoint | None:
        """The complete checkpoint with this seal, None where there is none."""
        for path in reversed(self.list_paths()):
            with suppress(CheckpointError):
                if compute_seal(read_manifest(path)) == seal:
                    return open_checkpoint(path)
        return None

    @property
    def best(self) -> Path | None:
        """The last complete one that was saved as the best so far, None where there is none."""
        for path in reversed(self.list_paths()):
            with suppress(CheckpointError):  # `load_newest` logs it
                if read_manifest(path)["best"]:
                    return open_checkpoint(path).path
        return None

    def list_paths(self) -> list[Path]:
        """The folders with a checkpoint's name, oldest first."""
        folders = (path for path in self.folder.iterdir() if NAME.fullmatch(path.name))
        return sorted((path for path in folders if path.is_dir()), key=parse_name)

    def remove_old(self, saved: Path) -> None:
        """Remove the checkpoints up to the one just saved that are not kept.

        One of a later step was damaged when the run was resumed: it doesn't count as one of the
        newest, and is kept until the run is past its step.
        """
        try:
            past = [path for path in self.list_paths() if parse_name(path) <= parse_name(saved)]
            last = {parse_name(path)[0]: path for path in past}  # of a step saved twice, the second
            stays = {saved, self.best, *list(last.values())[-self.retention.newest :]}
            if self.retention.every:
                stays |= {path for step, path in last.items() if step % self.retention.every == 0}
            for path in past:
                if path not in stays:
                    remove_folder(path.rename(self.name_temporary(path.name)))
        except OSError as error:
            log.warning("%s: old checkpoints remain (%s). %s", self.folder, error, REMEDY)

    def remove_abandoned(self) -> None:
        """Remove the temporary folders of dead processes."""
        for path in self.folder.iterdir():
            if is_abandoned(path):
                remove_folder(path)

    def choose_name(self, step: int) -> Path:
        """The new folder of a step; a step that was saved before gets the next attempt's number."""
        attempts = [
            parse_name(path)[1] for path in self.list_paths() if parse_name(path)[0] == step
        ]
        attempt = f"-{max(attempts) + 1}" if attempts else ""
        return self.folder / f"step-{step:08d}{attempt}"

    def name_temporary(self, name: str) -> Path:
        """The temporary name under which this process writes or removes a checkpoint."""
        return self.folder / f"{name}.tmp-{platform.node()}-{os.getpid()}"


def parse_name(path: Path) -> tuple[int, int]:
    """The step and the attempt in a folder's name."""
    found = NAME.fullmatch(path.name)
    assert found, path
    return int(found[1]), int(found[2] or 1)


def is_abandoned(path: Path) -> bool:
    """Whether a folder is a temporary one whose process is dead or inactive."""
    writer = TEMPORARY.fullmatch(path.name)
    if not writer:
        return False
    pid = int(writer["pid"])
    if writer["host"] == platform.node() and (pid == os.getpid() or not psutil.pid_exists(pid)):
        return True
    with suppress(FileNotFoundError):  # another process removed it
        return time.time() - path.stat().st_mtime > ABANDONED
    return False


def check_free_space(folder: Path, needed: int) -> None:
    """Raise `OSError` where the disk has too few free bytes, before anything is written."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(errno.ENOSPC, f"{needed:,} bytes are needed, {free:,} are free", str(folder))


def remove_folder(folder: Path) -> None:
    """Remove a temporary folder."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        log.warning("%s could not be removed: it is not needed, remove it by hand", folder)
