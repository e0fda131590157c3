"""The journal's file: complete lines, one evaluation, no clip twice."""

import json

import pytest
import torch

from odvae_core.evaluation import Journal, JournalError, Line, merge_journals
from odvae_core.evaluation import journal as journal_module

HEADER = {"protocol": {"frames": 5}, "contenders": {"x": {"vcpr": 1.5}}, "clips": ["a", "b"]}


def write(path, *lines):
    journal = Journal(HEADER, path)
    for line in lines:
        journal.add(line)
    return path


def test_a_line_survives_its_text_to_the_last_bit():
    features = {"i3d": torch.randn(3, 7), "c3d": torch.tensor([[torch.inf, -0.0, 1e-40]])}
    line = Line("ä.mp4", "x", None, {"psnr": 0.1 + 0.2}, {"16": 1 / 3}, [2 / 3], 5, 0.7, features)
    again = Line.from_text(line.to_text())
    for name, rows in features.items():
        assert torch.equal(again.features[name], rows)
    assert {**vars(again), "features": 0} == {**vars(line), "features": 0}


def test_a_journal_goes_on_after_its_last_whole_line(tmp_path):
    path = write(tmp_path / "j.jsonl", Line("a", "x"))
    whole = path.read_bytes()
    path.write_bytes(whole + Line("b", "x").to_text().encode()[:40])
    journal = Journal(HEADER, path)
    assert set(journal.lines) == {("a", "x")}
    journal.add(Line("b", "x", reason="torn"))
    again = Journal(HEADER, path)
    assert set(again.lines) == {("a", "x"), ("b", "x")}
    assert again.left_out == {"b": "torn"}


def test_every_line_is_on_the_disk_before_the_next_clip(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(journal_module.os, "fsync", synced.append)
    write(tmp_path / "j.jsonl", Line("a", "x"), Line("b", "x"))
    assert len(synced) == 3


def test_without_a_path_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(None, Line("a", "x"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [b"RIFF....", b"[1, 2]\n", b'{"clips": []}\n', b'{"format": 1}\n{"clip": "a"}\n', b"\xff\n"],
)
def test_another_file_is_refused_and_left_as_it_is(tmp_path, content):
    path = tmp_path / "j.jsonl"
    path.write_bytes(content)
    with pytest.raises(JournalError, match=r"j\.jsonl isn't a journal of `odvae evaluate`"):
        Journal(HEADER, path)
    assert path.read_bytes() == content


def test_a_journal_of_a_later_format_is_refused(tmp_path):
    path = tmp_path / "j.jsonl"
    path.write_text(json.dumps({"format": 2, **HEADER}) + "\n")
    with pytest.raises(JournalError, match="has format 2; this version reads 1"):
        Journal(HEADER, path)


def test_a_journal_in_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(JournalError, match="check that its folder exists"):
        Journal(HEADER, tmp_path / "none" / "j.jsonl")


def test_what_differs_is_named(tmp_path):
    path = write(tmp_path / "j.jsonl")
    with pytest.raises(JournalError, match=r"its protocol differs: \{'frames': 5\} instead of"):
        Journal({**HEADER, "protocol": {"frames": 9}}, path)


def test_merging_refuses_a_clip_that_was_measured_twice(tmp_path):
    paths = [write(tmp_path / name, Line("a", "x")) for name in ("1.jsonl", "2.jsonl")]
    with pytest.raises(JournalError, match="both contain a; merge journals of different shards"):
        merge_journals(paths)


def test_merging_refuses_journals_of_two_evaluations(tmp_path):
    first = write(tmp_path / "1.jsonl")
    Journal({**HEADER, "clips": ["a"]}, tmp_path / "2.jsonl")
    with pytest.raises(JournalError, match=r"2\.jsonl belongs to another .*, its clips differ"):
        merge_journals([first, tmp_path / "2.jsonl"])
    with pytest.raises(JournalError, match=r"3\.jsonl can't be read"):
        merge_journals([first, tmp_path / "3.jsonl"])


def test_merging_changes_no_journal(tmp_path):
    path = write(tmp_path / "1.jsonl", Line("a", "x"))
    path.write_bytes(path.read_bytes() + b"torn")
    before = path.read_bytes()
    assert set(merge_journals([path]).lines) == {("a", "x")}
    assert path.read_bytes() == before
