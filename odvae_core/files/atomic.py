"""Atomic files: the one writer of all results."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

log = logging.getLogger(__name__)

LOCK = ".lock"
NAME_BYTES = 120
"""Characters of an output's name that its part folder keeps, so that NAME_MAX isn't reached."""

TURN = 0.02
"""Seconds between two attempts of a waiting writer."""

PART = re.compile(r"\..*\.[0-9a-f]{16}\.part", re.DOTALL)
"""The name of a part folder: the output's name, its digest."""


class BusyError(BlockingIOError):
    """Another process is writing the file that the text names."""


@contextmanager
def replacing(path: Path, wait: bool = False) -> Iterator[Path]:
    """A path to write to, whose file is moved to `path`, flushed, when the block ends well.

    It has the name of `path` and lies in a part folder beside it. A block that fails leaves
    nothing, and an older file as it was; what a killed process left is removed by the next one that
    writes `path`. Raises as `holding`, and `OSError`.
    """
    with holding(path, wait) as part:
        aside = part / path.name
        yield aside
        sync(aside)
        aside.replace(path)
        sync_folder(path.parent)


@contextmanager
def holding(path: Path, wait: bool = False) -> Iterator[Path]:
    """The empty part folder of `path`, locked while the block runs.

    Where another writer has it, of this process or another, this one waits for its turn, or raises
    `BusyError`.
    """
    part = name_part(path)
    lock = claim(part, path, wait)
    try:
        yield part
    finally:
        release(part, lock)


def write_text(path: Path, text: str) -> None:
    """Write a text file, UTF-8, whole or not at all; writers of the same file take turns."""
    with replacing(path, wait=True) as aside:
        aside.write_bytes(text.encode("utf-8"))


def clear_leftovers(folder: Path) -> None:
    """Remove the part folders of killed writers; those of running ones stay."""
    for part in list(folder.iterdir()):
        if PART.fullmatch(part.name) and part.is_dir():
            with suppress(OSError):
                release(part, claim(part, part, wait=False))


def name_part(path: Path) -> Path:
    """The folder in which `path` is written: one for each path, however long its name."""
    name = os.fsencode(path.name)
    shown = name[:NAME_BYTES].decode("utf-8", "ignore")
    return path.with_name(f".{shown}.{hashlib.sha256(name).hexdigest()[:16]}.part")


def claim(part: Path, path: Path, wait: bool) -> int:
    """Lock and empty a part folder; returns the file descriptor of the lock.

    The system drops the lock when its process ends, however it ends.
    """
    lock = None
    while lock is None:
        with suppress(FileExistsError):
            part.mkdir()  # exist_ok looks twice, and another writer may remove it in between
        try:
            lock = open_lock(part)
        except BlockingIOError:
            if not wait:
                raise BusyError(
                    f"{path}: another process is writing it; wait for it, or give another name"
                ) from None
            time.sleep(TURN)
    try:
        clear(part)
    except OSError:
        os.close(lock)
        raise
    return lock


def open_lock(part: Path) -> int | None:
    """Lock a part folder; None where another writer removed it meanwhile."""
    if fcntl is None:
        return open_exclusively(part / LOCK)
    try:
        lock = os.open(part, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if isinstance(error, BlockingIOError):
            os.close(lock)
            raise
        log.warning("%s: can't be locked (%s); start no second writer", part, error.strerror)
    with suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(lock), part.stat()):
            return lock
    os.close(lock)
    return None


def open_exclusively(path: Path) -> int:
    """Open a file of our own on Windows, where one that a process holds open can't be removed."""
    try:
        path.unlink(missing_ok=True)
        return os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR)
    except (PermissionError, FileExistsError) as error:
        raise BlockingIOError(errno.EAGAIN, "another process has it open", str(path)) from error


def clear(part: Path) -> None:
    """Remove what a part folder holds, but for its lock."""
    for path in list(part.iterdir()):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def release(part: Path, lock: int) -> None:
    """Remove a part folder and its lock; one that can't be removed is cleared by the next run."""
    if fcntl is None:
        os.close(lock)
        shutil.rmtree(part, ignore_errors=True)
        return
    try:
        shutil.rmtree(part, ignore_errors=True)
    finally:
        os.close(lock)


def sync(path: Path) -> None:
    """Flush a file's content to the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Flush a folder's names to the disk, where the file system supports it."""
    if os.name == "nt":
        return  # folders can't be opened there
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF):  # as network file systems raise
            raise
    finally:
        os.close(descriptor)
