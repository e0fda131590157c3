"""What is known about files: beside the data, for every run that uses them."""

from pathlib import Path

import pytest

from train.data.clip_facts import ClipFacts
from train.data.probe_cache import NAME, ProbeCache, find_cache_file

EVEN = ClipFacts(180, 240, 0.04, 1 / 24, (), 2**64 - 1)
UNEVEN = ClipFacts(90, 3, 0.0, 0.1, (0.0, 0.1, 0.35), 7)
STAMP = (1000, 1_700_000_000_123_456_789)
SHA256 = "0f" * 32


@pytest.fixture
def file(tmp_path):
    cache = ProbeCache(tmp_path / NAME)
    cache.add(tmp_path / "a.mp4", STAMP, EVEN, SHA256)
    cache.add(tmp_path / "b" / "b.mkv", STAMP, UNEVEN, "")
    cache.write()
    return tmp_path / NAME


def test_the_next_start_finds_what_was_added(file):
    cache = ProbeCache(file)
    assert cache.find(file.parent / "a.mp4", STAMP) == (EVEN, SHA256)
    assert cache.find(file.parent / "b" / "b.mkv", STAMP) == (UNEVEN, "")
    assert cache.find(file.parent / "c.mp4", STAMP) is None


@pytest.mark.parametrize("stamp", [(1001, STAMP[1]), (1000, STAMP[1] + 1)])
def test_a_changed_file_is_not_found_and_replaced(file, stamp):
    cache = ProbeCache(file)
    assert cache.find(file.parent / "a.mp4", stamp) is None
    cache.add(file.parent / "a.mp4", stamp, UNEVEN, "")
    cache.write()
    again = ProbeCache(file)
    assert again.find(file.parent / "a.mp4", stamp) == (UNEVEN, "")
    assert again.find(file.parent / "b" / "b.mkv", STAMP) == (UNEVEN, "")
    assert len(again.records) == 2


def test_two_starts_at_once_keep_what_both_found(file):
    first, second = ProbeCache(file), ProbeCache(file)
    for cache, name in ((first, "c.mkv"), (second, "d.mkv")):
        cache.add(file.parent / name, STAMP, UNEVEN, "")
        cache.write()
    whole = ProbeCache(file)
    names = ("a.mp4", "b/b.mkv", "c.mkv", "d.mkv")
    assert [whole.find(file.parent / name, STAMP) is not None for name in names] == [True] * 4


def test_a_moved_folder_keeps_what_is_known(file, tmp_path_factory):
    moved = tmp_path_factory.mktemp("moved") / "data"
    file.parent.rename(moved)
    assert ProbeCache(moved / NAME).find(moved / "a.mp4", STAMP) == (EVEN, SHA256)


@pytest.mark.parametrize("content", [b"", b"torn", None])
def test_a_damaged_cache_is_named_and_written_again(file, content, caplog):
    file.write_bytes(file.read_bytes()[:-40] if content is None else content)
    cache = ProbeCache(file)
    assert "all clips are probed again" in caplog.text
    cache.add(Path("a.mp4"), STAMP, EVEN, SHA256)
    cache.write()
    assert ProbeCache(file).find(Path("a.mp4"), STAMP) == (EVEN, SHA256)


def test_the_cache_is_beside_the_data_where_that_can_be_written(tmp_path, monkeypatch):
    data, run = tmp_path / "data", tmp_path / "run"
    data.mkdir()
    (data / "list.csv").touch()
    assert find_cache_file(data, run) == find_cache_file(data / "list.csv", run) == data / NAME
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert find_cache_file(data, run) == run / NAME
    (data / NAME).touch()
    assert find_cache_file(data, run) == data / NAME
