"""Checkpoints: bit for bit what was saved, or passed over; a disk's refusal never ends a run."""

import errno
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from odvae_core import CheckpointError
from train.checkpoint_files import open_checkpoint
from train.checkpoints import Checkpoints, Retention
from train.optimisers import Muon

FLOATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
EVERYTHING = Retention(newest=100)


def draw_parts(step):
    """Small states that differ from step to step."""
    generator = torch.Generator().manual_seed(step)
    return {
        "vae": {"weight": torch.randn(8, 8, generator=generator)},
        "optimiser": {"state": {0: {"step": torch.tensor(step)}}, "param_groups": [{"lr": 1e-5}]},
    }


def save_steps(folder, *steps, retention=EVERYTHING, best=()):
    checkpoints = Checkpoints(folder, retention)
    for step in steps:
        assert checkpoints.save(step, draw_parts(step), {"phase": "late"}, best=step in best)
    return checkpoints


def list_names(folder):
    return sorted(path.name for path in folder.iterdir())


def list_steps(checkpoints):
    return [int(path.name.split("-")[1]) for path in checkpoints.list_paths()]


def flatten(state):
    """The leaves of nested dicts, lists and tuples, with their places; tensors as bytes."""
    if isinstance(state, dict):
        return [(key, *leaf) for key, value in state.items() for leaf in flatten(value)]
    if isinstance(state, list | tuple):
        return [(type(state), index, *leaf) for index, v in enumerate(state) for leaf in flatten(v)]
    if isinstance(state, torch.Tensor):
        bits = state.detach().contiguous().reshape(-1).view(torch.uint8)
        return [(state.dtype, tuple(state.shape), bytes(bits.tolist()))]
    return [(type(state), state)]


@pytest.mark.parametrize("dtype", [*FLOATS, torch.int64, torch.int32, torch.uint8, torch.bool])
def test_tensors_come_back_bit_for_bit(tmp_path, dtype):
    bits = torch.randint(0, 256, (64,), generator=torch.Generator().manual_seed(0)).byte()
    tensor = bits.bool() if dtype == torch.bool else bits.view(dtype)  # any bits: NaNs as well
    state = {"all": tensor, "scalar": tensor[0].clone(), "empty": tensor[:0].clone()}
    state["transposed"] = tensor[:4].clone().view(2, 2).T
    Checkpoints(tmp_path, Retention()).save(1, {"vae": state}, {})
    assert flatten(Checkpoints(tmp_path, Retention()).load_newest().load("vae")) == flatten(state)


def take_steps(network, optimiser, count):
    for step in range(count):
        optimiser.zero_grad()
        network(torch.full((2, 16), 0.1 * (step + 1))).square().sum().backward()
        optimiser.step()


@pytest.mark.parametrize(
    "make",
    [
        lambda weights: torch.optim.Adam(weights, lr=1e-3),
        lambda weights: Muon(weights, 1e-3, (0.9, 0.99)),
    ],
    ids=["adam", "muon"],
)
def test_an_optimiser_goes_on_as_if_it_had_never_stopped(tmp_path, make):
    torch.manual_seed(0)
    network, other = nn.Linear(16, 16), nn.Linear(16, 16)
    optimiser = make(network.parameters())
    take_steps(network, optimiser, 3)
    parts = {"vae": network.state_dict(), "optimiser": optimiser.state_dict()}
    saved = {name: flatten(part) for name, part in parts.items()}
    checkpoints = Checkpoints(tmp_path, Retention())
    checkpoints.save(3, parts, {})
    checkpoint = checkpoints.load_newest()
    assert {name: flatten(checkpoint.load(name)) for name in checkpoint.parts} == saved
    other.load_state_dict(checkpoint.load("vae"))
    resumed = make(other.parameters())
    resumed.load_state_dict(checkpoint.load("optimiser"))
    take_steps(network, optimiser, 2)
    take_steps(other, resumed, 2)
    assert flatten(other.state_dict()) == flatten(network.state_dict())
    assert flatten(resumed.state_dict()) == flatten(optimiser.state_dict())


def test_facts_come_back(tmp_path):
    facts = {"step": 7, "config": {"lr": 1e-5}, "best_psnr": float("-inf"), "commit": None}
    Checkpoints(tmp_path, Retention()).save(7, {}, facts)
    checkpoint = Checkpoints(tmp_path, Retention()).load_newest()
    assert (checkpoint.step, checkpoint.facts, checkpoint.parts) == (7, facts, ())


def test_a_folder_without_checkpoints_gives_none(tmp_path):
    checkpoints = Checkpoints(tmp_path / "a run" / "checkpoints", Retention())
    assert checkpoints.load_newest() is None
    assert checkpoints.best is None


def test_a_part_that_was_not_saved_is_named(tmp_path):
    checkpoint = save_steps(tmp_path, 1).load_newest()
    with pytest.raises(CheckpointError, match="no part 'discriminator', only vae, optimiser"):
        checkpoint.load("discriminator")


@pytest.mark.parametrize(
    ("state", "place"),
    [
        ({"path": Path("clips")}, r"parts\.vae\.path is of type PosixPath"),
        ({"loss": [1.0, np.float64(2)]}, r"parts\.vae\.loss\[1\] is of type float64"),
        ({np.int64(3): 1}, r"parts\.vae is of type int64"),
    ],
)
def test_a_state_that_could_not_be_read_again_is_refused(tmp_path, state, place):
    checkpoints = save_steps(tmp_path, 1)
    with pytest.raises(TypeError, match=place):
        checkpoints.save(2, {"vae": state}, {})
    with pytest.raises(TypeError, match="JSON"):
        checkpoints.save(2, {}, {"path": Path("clips")})
    assert list_names(tmp_path) == ["step-00000001"]


def test_a_step_can_be_saved_again_and_the_second_counts(tmp_path):
    checkpoints = save_steps(tmp_path, 1, 2, retention=Retention(newest=2))
    again = checkpoints.save(2, draw_parts(20), {"phase": "again"})
    newest = Checkpoints(tmp_path, Retention()).load_newest()
    assert newest.path == again
    assert newest.facts == {"phase": "again"}
    assert flatten(newest.load("vae")) == flatten(draw_parts(20)["vae"])
    assert list_names(tmp_path) == ["step-00000001", "step-00000002-2"]
    checkpoints.save(2, draw_parts(21), {})
    assert list_names(tmp_path) == ["step-00000001", "step-00000002-3"]


def test_the_newest_few_and_the_multiples_stay(tmp_path):
    checkpoints = save_steps(tmp_path, *range(5, 65, 5), retention=Retention(newest=2, every=20))
    assert list_steps(checkpoints) == [20, 40, 55, 60]


def test_steps_are_ordered_as_numbers(tmp_path):
    checkpoints = save_steps(tmp_path, 99_999_999, 100_000_000, retention=Retention(newest=1))
    assert list_steps(checkpoints) == [100_000_000]
    assert checkpoints.load_newest().step == 100_000_000


@pytest.mark.parametrize("numbers", [(0, 0), (1, -5)])
def test_keeping_nothing_is_refused(numbers):
    with pytest.raises(ValueError, match="give newest >= 1 and every >= 0"):
        Retention(*numbers)


def test_the_best_outlives_rotation_and_restarts(tmp_path):
    save_steps(tmp_path, 1, 2, 3, retention=Retention(newest=1), best=(2,))
    checkpoints = save_steps(tmp_path, 4, 5, retention=Retention(newest=1))
    assert checkpoints.best == tmp_path / "step-00000002"
    assert list_steps(checkpoints) == [2, 5]


def test_a_better_one_takes_the_place_of_the_best(tmp_path):
    checkpoints = save_steps(tmp_path, 1, 2, 3, 4, retention=Retention(newest=1), best=(1, 3))
    assert checkpoints.best == tmp_path / "step-00000003"
    assert list_steps(checkpoints) == [3, 4]


def test_a_damaged_best_gives_way_to_the_best_before(tmp_path):
    checkpoints = save_steps(tmp_path, 1, 2, 3, best=(1, 2))
    (tmp_path / "step-00000002" / "vae.pt").write_bytes(b"damaged")
    assert checkpoints.best == tmp_path / "step-00000001"
    (tmp_path / "step-00000001" / "manifest.json").unlink()
    assert checkpoints.best is None


def truncate(folder):
    os.truncate(folder / "vae.pt", (folder / "vae.pt").stat().st_size - 1)


def flip_a_bit(folder):
    content = bytearray((folder / "optimiser.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "optimiser.pt").write_bytes(content)


def make_unreadable(folder):
    (folder / "trainer.json").unlink()
    (folder / "trainer.json").mkdir()


def leave_out_a_part(folder):
    manifest = json.loads((folder / "manifest.json").read_bytes())
    del manifest["files"]["optimiser.pt"]
    (folder / "manifest.json").write_text(json.dumps(manifest))


def put_a_list(folder):
    (folder / "manifest.json").write_text("[1, 2]")


DAMAGES = {
    truncate: "vae.pt was changed",
    flip_a_bit: "optimiser.pt was changed",
    make_unreadable: "can't be read completely.*trainer.json",
    leave_out_a_part: "manifest.json was changed",
    put_a_list: "manifest.json was changed",
    lambda folder: (folder / "vae.pt").unlink(): "can't be read completely.*vae.pt",
    lambda folder: (folder / "manifest.json").unlink(): "no readable manifest.json",
    lambda folder: (folder / "manifest.json").write_bytes(b"\xff"): "no readable manifest.json",
    lambda folder: (folder / "trainer.json").write_text("{}"): "trainer.json was changed",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_passed_over_and_named(tmp_path, damage, caplog):
    checkpoints = save_steps(tmp_path, 1, 2, 3)
    damage(tmp_path / "step-00000003")
    newest = checkpoints.load_newest()
    assert newest.step == 2
    assert flatten(newest.load("vae")) == flatten(draw_parts(2)["vae"])
    (warning,) = caplog.messages
    assert warning.startswith(f"skipped: {tmp_path / 'step-00000003'}")
    with pytest.raises(CheckpointError, match=DAMAGES[damage]):
        open_checkpoint(tmp_path / "step-00000003")


@pytest.mark.parametrize("name", ["vae.pt", "trainer.json", "manifest.json"])
def test_every_flipped_bit_is_seen(tmp_path, name):
    save_steps(tmp_path, 1)
    path = tmp_path / "step-00000001"
    content = (path / name).read_bytes()
    for place in range(0, len(content), 1 + len(content) // 500):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        (path / name).write_bytes(flipped)
        with pytest.raises(CheckpointError):
            open_checkpoint(path)
    (path / name).write_bytes(content)
    open_checkpoint(path)


def test_a_run_whose_checkpoints_are_all_damaged_is_not_begun_anew(tmp_path):
    checkpoints = save_steps(tmp_path, 1, 2)
    truncate(tmp_path / "step-00000001")
    truncate(tmp_path / "step-00000002")
    with pytest.raises(CheckpointError, match=r"none of the 2 .* is complete: restore one"):
        checkpoints.load_newest()


def test_what_was_passed_over_pushes_out_nothing_whole(tmp_path):
    save_steps(tmp_path, 1, 5, 6)
    truncate(tmp_path / "step-00000005")
    truncate(tmp_path / "step-00000006")
    checkpoints = save_steps(tmp_path, 2, 3, retention=Retention(newest=2))
    assert list_steps(checkpoints) == [2, 3, 5, 6]
    assert checkpoints.load_newest().step == 3
    save_steps(tmp_path, 5, 6, retention=Retention(newest=2))
    assert list_names(tmp_path) == ["step-00000005-2", "step-00000006-2"]


def test_strangers_are_left_alone(tmp_path, caplog):
    checkpoints = save_steps(tmp_path, 1)
    (tmp_path / "step-00000000").write_text("a file")
    (tmp_path / "step-best").mkdir()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "step-00000001" / "notes.txt").touch()
    assert checkpoints.load_newest().step == 1
    save_steps(tmp_path, 2, retention=Retention(newest=1))
    assert list_names(tmp_path) == ["notes.txt", "step-00000000", "step-00000002", "step-best"]
    assert caplog.messages == []


@pytest.fixture
def dead():
    """The number of a process that ended."""
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    process.wait()
    return process.pid


def test_what_a_dead_writer_left_is_removed_and_what_a_live_one_writes_is_kept(
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


def test_what_cannot_be_removed_is_named_and_tried_again(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(shutil, "rmtree", lambda folder, ignore_errors: None)
    checkpoints = save_steps(tmp_path, 1, 2, retention=Retention(newest=1))
    assert "remove it by hand" in caplog.text
    assert checkpoints.load_newest().step == 2
    assert len(list_names(tmp_path)) == 2
    monkeypatch.undo()
    checkpoints.save(3, draw_parts(3), {})
    assert list_names(tmp_path) == ["step-00000003"]


class KilledError(BaseException):
    """Stands for a kill: nothing catches it."""


def test_a_kill_in_the_middle_of_a_removal_leaves_no_half_checkpoint(tmp_path, monkeypatch):
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
    """A disk that counts what is asked of it, and from request `first` to `last` refuses it."""

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
def test_whatever_the_disk_refuses_the_run_goes_on(tmp_path, monkeypatch, caplog, number, lasting):
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


def test_all_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
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


def test_a_file_system_that_cannot_sync_folders_is_taken_as_it_is(tmp_path, monkeypatch):
    sync = os.fsync

    def refuse_folders(file):
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        sync(file)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    assert save_steps(tmp_path, 1).load_newest().step == 1


def test_a_disk_without_room_is_not_filled_for_nothing(tmp_path, monkeypatch, caplog):
    checkpoints = save_steps(tmp_path, 1)
    disk = Disk(monkeypatch)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=200))
    assert checkpoints.save(2, draw_parts(2), {}) is None
    assert disk.requests == []
    assert "bytes are needed, 200 are free" in caplog.text
    assert checkpoints.load_newest().step == 1


def test_a_folder_that_vanished_is_not_made_again(tmp_path, caplog):
    checkpoints = save_steps(tmp_path / "mount" / "checkpoints", 1)
    (tmp_path / "mount").rename(tmp_path / "unmounted")
    assert checkpoints.save(2, draw_parts(2), {}) is None
    assert "step 2 was not saved" in caplog.text
    assert list_names(tmp_path) == ["unmounted"]
    (tmp_path / "unmounted").rename(tmp_path / "mount")
    assert checkpoints.save(3, draw_parts(3), {})
    assert list_steps(checkpoints) == [1, 3]


def test_a_file_that_grows_too_large_for_the_system_leaves_the_checkpoint_before(tmp_path, caplog):
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
