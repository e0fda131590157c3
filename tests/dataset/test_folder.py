"""The folder of shards: a run killed at any file operation is resumed and loses nothing."""

import gzip
import json
import os
import tarfile
from pathlib import Path

import pytest
import torch

from odvae_core.dataset import DatasetError, Sample, ShardWriter, read_latents
from odvae_core.dataset import folder as folder_module
from odvae_core.dataset.folder import KIND, VERSION
from odvae_core.files import tensorfile

CLIPS = ["a", "b", "c", "d", "e"]
BAD = "bad"


@pytest.fixture(autouse=True)
def a_fast_disk(monkeypatch):
    """Flushing is most of the time here; kills are counted at it all the same."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


class Killed(BaseException):
    """Simulates SIGKILL: after it, the process performs no file operation."""


def make_facts(shards="safetensors", **changes):
    return {
        "kind": KIND,
        "format": VERSION,
        "shards": shards,
        "family": "odvae",
        "stride": 1,
        **changes,
    }


def make_sample(clip):
    """A clip's sample; all have the same number of bytes."""
    latent = torch.full((4, 2, 3, 3), float(ord(clip)))
    return Sample({"id": clip, "clip": clip, "frames": 5}, latent, latent + 1)


def work(folder, shards="safetensors", worker="1of1", clips=(*CLIPS, BAD)):
    """Fill the folder as a worker does; the clips as they are begun and as they are kept."""
    begun, kept = [], []
    writer = ShardWriter(folder, make_facts(shards), clips, worker, shard_bytes=1)
    writer.shard_bytes = 2 * 700  # two clips
    try:
        for clip in clips:
            if clip in writer.done:
                continue
            begun.append(clip)
            if clip == BAD:
                writer.record_broken_clip(clip, "bad.mp4", "it is bad")
            else:
                writer.add_clip(clip, [make_sample(clip)])
                kept.append(clip)
        writer.finish()
    except Killed:
        return begun, kept, False
    return begun, kept, True


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def check_whole(folder, shards):
    """Every clip is there once, and nothing else."""
    found = {name: (latent, facts["logvar"]) for name, latent, facts in read_latents(folder)}
    assert sorted(found) == CLIPS
    for clip, (latent, logvar) in found.items():
        assert torch.equal(latent, make_sample(clip).latent)
        assert torch.equal(logvar, make_sample(clip).logvar)
    index = read_lines(folder / "index.jsonl")
    assert sorted(line["clip"] for line in index) == CLIPS
    assert {line["shard"] for line in index} == {path.name for path in folder.glob("latents-*")}
    assert [line["clip"] for line in read_lines(folder / "broken.jsonl")] == [BAD]
    assert not list((folder / "unfinished").iterdir())
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]


def kill_at(monkeypatch, number):
    """Kill the process before its n-th file operation; a write leaves half of the file."""
    count = 0

    def watch(operation, leave=None):
        def run(*arguments, **options):
            nonlocal count
            count += 1
            if count == number and leave:
                leave(*arguments)
            if count >= number:
                raise Killed
            return operation(*arguments, **options)

        return run

    def leave_half(_tensors, path, _metadata):
        Path(path).write_bytes(b"half")

    for place, name in ((Path, "replace"), (Path, "unlink"), (Path, "mkdir"), (os, "fsync")):
        monkeypatch.setattr(place, name, watch(getattr(place, name)))
    monkeypatch.setattr(tensorfile, "save_file", watch(tensorfile.save_file, leave_half))


def run_killed(monkeypatch, folder, number, shards):
    with monkeypatch.context() as patch:
        kill_at(patch, number)
        try:
            return work(folder, shards)
        except Killed:  # while the folder was opened
            return [], [], False


@pytest.mark.parametrize("shards", ["safetensors", "webdataset"])
def test_a_worker_killed_before_any_operation_on_a_file_goes_on(tmp_path, monkeypatch, shards):
    number, ended = 0, False
    while not ended:
        number += 1
        folder = tmp_path / str(number)
        begun, kept, ended = run_killed(monkeypatch, folder, number, shards)
        if (folder / "dataset.json").exists():
            visible = [name for name, _, _ in read_latents(folder)]
            assert len(visible) == len(set(visible))
        again, _, whole = work(folder, shards)
        assert whole
        assert not set(kept) & set(again)
        assert set(begun) | set(again) == {*CLIPS, BAD}
        check_whole(folder, shards)
    assert number > 40


@pytest.mark.parametrize("shards", ["safetensors", "webdataset"])
def test_other_workers_take_up_what_a_killed_one_left(tmp_path, monkeypatch, shards):
    number, ended = 0, False
    while not ended:
        number += 1
        folder = tmp_path / str(number)
        _, kept, ended = run_killed(monkeypatch, folder, number, shards)
        clips = (*CLIPS, BAD)
        first, *_ = work(folder, shards, "1of2", clips[0::2])
        second, *_ = work(folder, shards, "2of2", clips[1::2])
        assert not set(kept) & {*first, *second}
        check_whole(folder, shards)


def test_a_worker_killed_again_and_again_comes_to_the_end(tmp_path, monkeypatch):
    kept = []
    for number in range(8, 60):
        _, now, ended = run_killed(monkeypatch, tmp_path, number, "safetensors")
        kept += now
        if ended:
            break
    assert ended
    assert sorted(kept) == sorted(set(kept))
    check_whole(tmp_path, "safetensors")


def test_a_shard_is_closed_at_its_size_or_at_its_number_of_clips(tmp_path, monkeypatch):
    work(tmp_path / "size")
    monkeypatch.setattr(folder_module, "MOST_CLIPS", 1)
    work(tmp_path / "number")
    counts = {name: len(list((tmp_path / name).glob("latents-*"))) for name in ("size", "number")}
    assert counts == {"size": 3, "number": 5}


def test_a_list_that_another_worker_made_old_meanwhile_is_written_again(tmp_path, monkeypatch):
    writer = ShardWriter(tmp_path, make_facts(), CLIPS[:1], "1of2", shard_bytes=1)
    other = ShardWriter(tmp_path, make_facts(), CLIPS[1:2], "2of2", shard_bytes=1)
    writer.add_clip("a", [make_sample("a")])
    write = folder_module.write_text

    def let_the_other_finish_first(*arguments):
        monkeypatch.setattr(folder_module, "write_text", write)
        other.add_clip("b", [make_sample("b")])
        other.finish()
        write(*arguments)

    monkeypatch.setattr(folder_module, "write_text", let_the_other_finish_first)
    writer.finish()
    assert [line["clip"] for line in read_lines(tmp_path / "index.jsonl")] == ["a", "b"]


def test_a_second_process_on_the_same_clips_is_noticed_and_nothing_is_lost(tmp_path):
    first, second = (ShardWriter(tmp_path, make_facts(), CLIPS, "1of1", 10**6) for _ in range(2))
    first.add_clip("a", [make_sample("a")])
    with pytest.raises(DatasetError, match="another process encodes the same clips"):
        second.add_clip("a", [make_sample("a")])
    second.add_clip("b", [make_sample("b")])
    first.finish()
    ShardWriter(tmp_path, make_facts(), CLIPS, "1of1", 10**6).finish()
    with pytest.raises(DatasetError, match="another process encodes the same clips"):
        second.finish()
    assert sorted(name for name, _, _ in read_latents(tmp_path)) == ["a", "b"]


def test_a_folder_of_other_latents_is_refused_and_kept(tmp_path):
    work(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    with pytest.raises(DatasetError, match=r"latents with stride 1, but this run has 2.*another"):
        ShardWriter(tmp_path, make_facts(stride=2), CLIPS, "1of1", 1)
    with pytest.raises(DatasetError, match="family 'odvae', but this run has 'cvvae'"):
        ShardWriter(tmp_path, make_facts(family="cvvae"), CLIPS, "1of1", 1)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_folder_of_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(DatasetError, match=r"contains other files \(thesis.tex\)"):
        ShardWriter(tmp_path, make_facts(), CLIPS, "1of1", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("shards", ["safetensors", "webdataset"])
def test_a_shard_that_was_cut_short_is_named(tmp_path, shards):
    work(tmp_path, shards)
    shard = min(tmp_path.glob("latents-*"))
    shard.write_bytes(shard.read_bytes()[:300])
    with pytest.raises(DatasetError, match=f"{shard.name}: can't be read as a shard"):
        list(read_latents(tmp_path))
    with pytest.raises(DatasetError, match=f"{shard.name}: can't be read as a shard"):
        work(tmp_path, shards)


def test_what_is_no_folder_of_latents_is_not_read(tmp_path):
    with pytest.raises(DatasetError, match="contains no latents"):
        read_latents(tmp_path)
    (tmp_path / "dataset.json").write_text(json.dumps(make_facts(format="9")))
    with pytest.raises(DatasetError, match="format 9"):
        read_latents(tmp_path)


def test_a_tar_is_plain_and_holds_plain_files(tmp_path):
    work(tmp_path, "webdataset")
    shard = min(tmp_path.glob("latents-*"))
    content = shard.read_bytes()
    shard.write_bytes(gzip.compress(content))  # may be a thousand times as large
    with pytest.raises(DatasetError, match="can't be read as a shard"):
        list(read_latents(tmp_path))
    with tarfile.open(shard, "w") as tar:
        link = tarfile.TarInfo("a.safetensors")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    with pytest.raises(DatasetError, match=r"a\.safetensors is not a regular file"):
        list(read_latents(tmp_path))


@pytest.mark.parametrize("text", ["[" * 200_000, "[]", "3", '{"kind": "odvae-latent-dataset"}'])
def test_a_description_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(DatasetError, match=r"contains no latents|this odvae reads"):
        read_latents(tmp_path)
