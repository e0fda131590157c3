"""Checkpoints on a disk that fails, or after a process died: the run continues."""

import errno
import io
import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.train.small_checkpoints import (
    draw_parts,
    list_names,
    list_steps,
    save_steps,
)
from train.checkpoint_files import open_checkpoint
from train.checkpoints import Checkpoints, Retention


@pytest.fixture
def dead():
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return process.pid


def test_temporary_folders_of_dead_processes_are_removed_and_those_of_live_ones_are_kept(
    tmp_path, dead, monkeypatch
):
    monkeypatch.setattr("platform.node", lambda: "gpu-7.example")
    live = f"step-00000003.tmp-gpu-7.example-{os.getppid()}"
    elsewhere = f"step-00000004.tmp-another-{dead}"
    long_ago = f"step-00000005-2.tmp-another-{dead}"
    own = f"step-00000006.tmp-gpu-7.example-{os.getpid()}"
    for name in (f"step-00000002.tmp-gpu-7.example-{dead}", live, elsewhere, long_ago, own):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vae.pt").touch()
    os.utime(tmp_path / long_ago, (time.time() - 25 * 3600,) * 2)
    assert Checkpoints(tmp_path, Retention()).load_newest() is None
    assert list_names(tmp_path) == [live, elsewhere]


def test_a_folder_that_cannot_be_removed_is_named_and_removed_later(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(shutil, "rmtree", lambda folder, ignore_errors: None)
    checkpoints = save_steps(tmp_path, 1, 2, retention=Retention(newest=1))
    assert "remove it by hand" in caplog.text
    assert checkpoints.load_newest().step == 2
    assert len(list_names(tmp_path)) == 2
    monkeypatch.undo()
    checkpoints.save(3, draw_parts(3), {})
    assert list_names(tmp_path) == ["step-00000003"]


class KilledError(BaseException):
    """Simulates a kill: it is never caught."""


def test_a_kill_during_a_removal_leaves_no_incomplete_checkpoint(tmp_path, monkeypatch):
    checkpoints = save_steps(tmp_path, 1, 2, retention=Retention(newest=2))

    def remove_half(folder, ignore_errors):
        if folder.exists():
            (folder / "vae.pt").unlink()
            raise KilledError

    monkeypatch.setattr(shutil, "rmtree", remove_half)
    with pytest.raises(KilledError):
        checkpoints.save(3, draw_parts(3), {})
    monkeypatch.undo()
    assert [open_checkpoint(path).step for path in checkpoints.list_paths()] == [2, 3]
    assert len(list_names(tmp_path)) == 3
    Checkpoints(tmp_path, Retention())
    assert list_names(tmp_path) == ["step-00000002", "step-00000003"]


class Disk:
    """A disk that counts its operations; those from `first` to `last` fail."""

    def __init__(self, monkeypatch, number=errno.ENOSPC):
        self.number, self.first, self.last, self.requests = number, 0, 0, []
        for name in ("mkdir", "rename"):
            monkeypatch.setattr(Path, name, self.guard(name, getattr(Path, name)))
        monkeypatch.setattr(os, "fsync", self.guard("fsync", lambda file: None))  # for speed
        open_file = Path.open
        monkeypatch.setattr(
            Path,
            "open",
            lambda path, mode="r", *rest, **more: (
                self.open(path) if mode == "xb" else open_file(path, mode, *rest, **more)
            ),
        )

    def ask(self, name):
        self.requests.append(name)
        if self.first <= len(self.requests) <= self.last:
            raise OSError(self.number, os.strerror(self.number))

    def guard(self, name, function):
        def guarded(*arguments, **more):
            self.ask(name)
            return function(*arguments, **more)

        return guarded

    def open(self, path):
        self.ask("open")
        disk = self

        class Guarded(io.BufferedWriter):
            def write(self, data):
                disk.ask("write")
                return super().write(data)

        return Guarded(io.FileIO(path, "xb"))

    def refuse(self, first, last):
        self.first, self.last, self.requests = first, last, []


@pytest.mark.parametrize(
    ("number", "lasting"), [(errno.ENOSPC, False), (errno.ENOSPC, True), (errno.EROFS, True)]
)
def test_a_run_continues_whichever_disk_operation_fails(
    tmp_path, monkeypatch, caplog, number, lasting
):
    disk = Disk(monkeypatch, number)
    checkpoints = save_steps(tmp_path, 1, retention=Retention(newest=1))
    refuse_all = 10**9
    disk.refuse(0, 0)
    checkpoints.save(2, draw_parts(2), {})
    requests = list(disk.requests)
    assert requests[0] == "mkdir"
    assert requests[-3:] == [
        "rename",
        "fsync",
        "rename",
    ]  # in place, its name synced, the old aside
    assert requests.count("fsync") == len(("vae", "optimiser", "facts", "manifest", "folder")) + 1
    for request in range(1, len(requests) + 1):
        shutil.rmtree(tmp_path)
        save_steps(tmp_path, 1, retention=Retention(newest=1))
        caplog.clear()
        disk.refuse(request, refuse_all if lasting else request)
        path = checkpoints.save(2, draw_parts(2), {})
        disk.refuse(0, 0)
        (warning,) = caplog.messages
        assert str(tmp_path) in warning
        assert os.strerror(number) in warning
        assert "the next save tries again: make room there" in warning
        in_place, rotated = request >= len(requests) - 1, request == len(requests)
        assert (path is not None) == rotated
        assert list_steps(checkpoints) == ([1, 2] if in_place else [1])
        assert checkpoints.load_newest().step == (2 if in_place else 1)
        assert not list(tmp_path.glob("*.tmp-*"))
        assert checkpoints.save(3, draw_parts(3), {})
        assert list_steps(checkpoints) == [3]


def test_all_files_are_synced_before_the_folder_is_renamed(tmp_path, monkeypatch):
    checkpoints, events = Checkpoints(tmp_path, Retention()), []
    sync, rename = os.fsync, Path.rename
    monkeypatch.setattr(
        os, "fsync", lambda file: (events.append(os.fstat(file).st_ino), sync(file))
    )
    monkeypatch.setattr(
        Path, "rename", lambda path, new: (events.append("rename"), rename(path, new))[1]
    )
    path = checkpoints.save(1, draw_parts(1), {})
    files = [path / name for name in ("vae.pt", "optimiser.pt", "trainer.json", "manifest.json")]
    number = {place.stat().st_ino: place.name for place in (*files, path, tmp_path)}
    assert [number.get(event, event) for event in events] == [
        *(file.name for file in files),
        path.name,
        "rename",
        tmp_path.name,
    ]


def test_a_file_system_that_cannot_sync_folders_is_accepted(tmp_path, monkeypatch):
    sync = os.fsync

    def refuse_folders(file):
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(file)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    assert save_steps(tmp_path, 1).load_newest().step == 1


def test_nothing_is_written_to_a_disk_without_room(tmp_path, monkeypatch, caplog):
    checkpoints = save_steps(tmp_path, 1)
    disk = Disk(monkeypatch)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=200))
    assert checkpoints.save(2, draw_parts(2), {}) is None
    assert disk.requests == []
    assert "bytes are needed, 200 are free" in caplog.text
    assert checkpoints.load_newest().step == 1


def test_a_folder_that_vanished_is_not_created_again(tmp_path, caplog):
    checkpoints = save_steps(tmp_path / "mount" / "checkpoints", 1)
    (tmp_path / "mount").rename(tmp_path / "unmounted")
    assert checkpoints.save(2, draw_parts(2), {}) is None
    assert "step 2 was not saved" in caplog.text
    assert list_names(tmp_path) == ["unmounted"]
    (tmp_path / "unmounted").rename(tmp_path / "mount")
    assert checkpoints.save(3, draw_parts(3), {})
    assert list_steps(checkpoints) == [1, 3]


def test_a_file_above_the_size_limit_leaves_the_checkpoint_before_it(tmp_path, caplog):
    resource = pytest.importorskip("resource", reason="limits of files are POSIX's")
    checkpoints = save_steps(tmp_path, 1)
    large = {"vae": {"weight": torch.zeros(100_000)}}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        assert checkpoints.save(2, large, {}) is None
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "File too large" in caplog.text
    assert list_names(tmp_path) == ["step-00000001"]
    assert checkpoints.load_newest().step == 1
    assert checkpoints.save(2, large, {})
