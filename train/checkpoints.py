"""The checkpoints of a run: no kill, full disk or flipped bit loses more than the newest.

A checkpoint is written under another name and renamed when all of it is on the disk, so a folder
`step-00000120` was whole once; its manifest shows whether it still is.
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
    measure,
    open_checkpoint,
    read_manifest,
    write_checkpoint,
)

log = logging.getLogger(__name__)

NAME = re.compile(r"step-(\d{8,})(?:-(\d+))?")
"""The step, and which attempt where it was saved more than once: `step-00000120-2`."""

ASIDE = re.compile(NAME.pattern + r"\.tmp-(?P<host>.*)-(?P<pid>\d+)")
"""A folder that is being written or removed, and by which process."""

ABANDONED = 24 * 3600
"""Seconds without a change after which a writer is taken for dead, on whatever machine it ran."""

REMEDY = "The run goes on, and the next save tries again: make room there, or the folder writable"


@dataclass(frozen=True)
class Kept:
    """What stays: the `newest` few, every multiple of `every` steps (0: none), and the best."""

    newest: int = 3
    every: int = 0

    def __post_init__(self):
        if self.newest < 1 or self.every < 0:
            raise ValueError(
                f"got newest = {self.newest}, every = {self.every}; a run keeps its newest "
                "checkpoint at least: give newest >= 1 and every >= 0"
            )


class Checkpoints:
    """A run's folder of checkpoints, which one process writes to."""

    def __init__(self, folder: Path, kept: Kept):
        self.folder, self.kept = folder, kept
        folder.mkdir(parents=True, exist_ok=True)
        self.clear()

    def save(
        self, step: int, parts: Mapping[str, Any], facts: Mapping[str, Any], best: bool = False
    ) -> Path | None:
        """Write a checkpoint whole or not at all, then remove those that needn't stay.

        `parts`: states by name, `facts`: plain values, `best`: whether this is the best so far. A
        step that was saved before gets a second folder, which counts from then on. Where the disk
        refuses, a warning says why, and None is returned. Raises `TypeError` on what could not be
        read again.
        """
        room = measure(dict(parts), "parts") + len(json.dumps(dict(facts)))
        aside = self.name_aside(f"step-{step:08d}")
        try:
            self.clear()
            check_room(self.folder, room)
            write_checkpoint(aside, step, parts, facts, best)
            path = aside.rename(self.choose_name(step))
            sync_folder(self.folder)
        except OSError as error:
            log.warning("%s: step %d was not saved (%s). %s", self.folder, step, error, REMEDY)
            return None
        finally:
            remove(aside)
        self.rotate(path)
        return path

    def load_newest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole, None where there is none at all.

        What is passed over is named in a warning. Raises `CheckpointError` where everything is: a
        run that began anew here would in time remove what might yet be repaired.
        """
        paths = self.find()
        for path in reversed(paths):
            try:
                return open_checkpoint(path)
            except CheckpointError as error:
                log.warning("passed over: %s", error)
        if paths:
            raise CheckpointError(
                f"none of the {len(paths)} checkpoints in {self.folder} is whole: bring one back "
                "from a copy, or move them away to begin anew"
            )
        return None

    @property
    def best(self) -> Path | None:
        """The last that was saved as the best so far and is whole, None where there is none."""
        for path in reversed(self.find()):
            with suppress(CheckpointError):  # `load_newest` names it
                if read_manifest(path)["best"]:
                    return open_checkpoint(path).path
        return None

    def find(self) -> list[Path]:
        """The folders that are named as checkpoints, oldest first."""
        folders = (path for path in self.folder.iterdir() if NAME.fullmatch(path.name))
        return sorted((path for path in folders if path.is_dir()), key=order)

    def rotate(self, saved: Path) -> None:
        """Remove what needn't stay of the checkpoints up to the one just saved.

        One of a later step was passed over when the run was resumed: it pushes out none that is
        whole, and stays until the run is past its step.
        """
        try:
            past = [path for path in self.find() if order(path) <= order(saved)]
            last = {order(path)[0]: path for path in past}  # of a step saved twice, the second
            stays = {saved, self.best, *list(last.values())[-self.kept.newest :]}
            if self.kept.every:
                stays |= {path for step, path in last.items() if step % self.kept.every == 0}
            for path in past:
                if path not in stays:
                    remove(path.rename(self.name_aside(path.name)))
        except OSError as error:
            log.warning("%s: old checkpoints remain (%s). %s", self.folder, error, REMEDY)

    def clear(self) -> None:
        """Remove what a process left that died while it wrote or removed."""
        for path in self.folder.iterdir():
            if is_abandoned(path):
                remove(path)

    def choose_name(self, step: int) -> Path:
        """The folder of a step, or of the next attempt at it."""
        attempts = [order(path)[1] for path in self.find() if order(path)[0] == step]
        attempt = f"-{max(attempts) + 1}" if attempts else ""
        return self.folder / f"step-{step:08d}{attempt}"

    def name_aside(self, name: str) -> Path:
        """Where this process writes or removes a checkpoint."""
        return self.folder / f"{name}.tmp-{platform.node()}-{os.getpid()}"


def order(path: Path) -> tuple[int, int]:
    """The step and the attempt that a folder's name tells."""
    found = NAME.fullmatch(path.name)
    assert found, path
    return int(found[1]), int(found[2] or 1)


def is_abandoned(path: Path) -> bool:
    """Whether a folder is one that its writer can't finish any more."""
    writer = ASIDE.fullmatch(path.name)
    if not writer:
        return False
    pid = int(writer["pid"])
    if writer["host"] == platform.node() and (pid == os.getpid() or not psutil.pid_exists(pid)):
        return True
    with suppress(FileNotFoundError):  # another process of the run was quicker
        return time.time() - path.stat().st_mtime > ABANDONED
    return False


def check_room(folder: Path, room: int) -> None:
    """Raise `OSError` where the disk has fewer free bytes, before it is filled for nothing."""
    free = shutil.disk_usage(folder).free
    if free < room:
        raise OSError(errno.ENOSPC, f"{room:,} bytes are needed, {free:,} are free", str(folder))


def remove(folder: Path) -> None:
    """Remove a folder under its name aside."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        log.warning("%s could not be removed: it is of no use, remove it by hand", folder)
