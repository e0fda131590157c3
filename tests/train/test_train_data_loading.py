"""The files of a training set: folders, lists, patterns, held-out and unreadable clips."""

import hashlib
import json
import logging
import shutil
from dataclasses import replace
from fractions import Fraction

import pytest
import torch

from tests.media import cut, draw_noise, draw_numbers, make_clip, read_numbers
from train.config import ConfigError
from train.config_sections import DataConfig, SourceConfig
from train.data import list_held_out, load_training_set
from train.data import probing as probing_file
from train.data.loading import list_entries
from train.data.probing import probe_clip

UNEVEN = [Fraction(tick, 10) for tick in (0, 1, 2, 3, 10, 11, 12, 20, 30, 31)]


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    """A clip of 12 numbered frames and a picture of frame 5, made once."""
    folder = tmp_path_factory.mktemp("media")
    make_clip(folder / "clip.mp4", draw_numbers(12))
    make_clip(folder / "picture.png", draw_numbers(6)[5:], codec="png", pix_fmt="rgb24")
    return folder


@pytest.fixture
def folder(media, tmp_path):
    """A folder tree with two clips, a picture, and files that are not media."""
    place = tmp_path / "clips"
    (place / "deep" / "er").mkdir(parents=True)
    shutil.copy(media / "clip.mp4", place / "a.mp4")
    shutil.copy(media / "clip.mp4", place / "deep" / "er" / "b.MP4")
    shutil.copy(media / "picture.png", place / "deep" / "c.png")
    shutil.copy(media / "clip.mp4", place / "._a.mp4")
    (place / "notes.txt").write_text("no clip")
    return place


def load(folder, memory=None, **settings):
    config = DataConfig(**{"path": str(folder), "broken_limit": 1.0, **settings})
    return load_training_set(config, 0, memory or folder.parent / "clips.npz")


def list_names(config):
    return [[entry.name for entry in part] for part in list_entries(config)]


def list_clips(training_set):
    return [clip for source in training_set.sources for clip in source.clips]


def write_list(folder, *rows):
    file = folder / "list.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows))
    return file


def test_a_folder_is_searched_recursively_without_hidden_files(folder):
    assert list_names(DataConfig(path=str(folder))) == [["a.mp4", "deep/c.png", "deep/er/b.MP4"]]


def test_patterns_match_whole_names_or_their_last_part(folder):
    sources = (SourceConfig(include=("b.*",)), SourceConfig("deep", include=("er/*", "*.png")))
    config = DataConfig(path=str(folder), sources=sources)
    assert list_names(config) == [["deep/er/b.MP4"], ["c.png", "er/b.MP4"]]


def test_what_is_held_out_is_listed_for_evaluation_and_never_trained_on(folder):
    sources = (SourceConfig(include=("a.mp4", "*.png")), SourceConfig("deep"))
    config = DataConfig(path=str(folder), sources=sources, held_out=("b.*", "c.png"))
    held_out = [entry.file for entry in list_held_out(config)]
    assert held_out == [folder / "deep" / "c.png", folder / "deep" / "er" / "b.MP4"]
    assert list_names(config) == [["a.mp4"], []]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"held_out": ("z*",)}, "data.held_out: 'z.' matches none of 3 clips"),
        (
            {"sources": (SourceConfig(include=("z",)),)},
            "include of the source '.': 'z' matches none",
        ),
        ({"sources": (SourceConfig("nowhere"),)}, "source 'nowhere': .*nowhere: neither a folder"),
    ],
)
def test_a_pattern_or_source_without_clips_is_an_error(folder, settings, message):
    with pytest.raises(ConfigError, match=message):
        list_entries(DataConfig(path=str(folder), **settings))


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_list_names_files_beside_it_and_seconds_of_them(folder, kind):
    texts = {
        "csv": "path,start,end,caption\na.mp4,0.125,0.25,x\ndeep/er/b.MP4,,,\n",
        "jsonl": '{"path": "a.mp4", "start": 0.125, "end": 0.25}\n\n{"path": "deep/er/b.MP4"}',
    }
    file = folder / f"list.{kind}"
    file.write_text(texts[kind])
    clips = list_clips(load(file))
    assert [(clip.name, clip.first, clip.frames) for clip in clips] == [
        ("a.mp4", 3, 3),  # 24 frames a second: the frames at 3/24, 4/24 and 5/24 s
        ("deep/er/b.MP4", 0, 12),
    ]
    video = torch.cat(list(clips[0].decode(0, 3, 1, 32))).transpose(0, 1)[None]
    assert read_numbers(video / 127.5 - 1) == [3, 4, 5]


def test_a_column_that_is_not_used_is_named(folder, caplog):
    list_entries(DataConfig(path=str(write_list(folder, {"path": "a.mp4", "strat": 1}))))
    assert "the columns strat are not used" in caplog.text


def test_an_invalid_list_is_an_error_of_the_configuration(folder):
    file = write_list(folder, {"path": "a.mp4"}, {"path": "a.mp4", "start": "soon"})
    with pytest.raises(ConfigError, match=r"data\.path is .*list.jsonl, line 2: got the start"):
        list_entries(DataConfig(path=str(file)))


def test_a_file_with_another_sha256_than_in_the_list_is_skipped(folder):
    right = hashlib.sha256((folder / "a.mp4").read_bytes()).hexdigest()
    rows = {"path": "a.mp4", "sha256": right}, {"path": "deep/er/b.MP4", "sha256": "0" * 64}
    for _ in range(2):  # found again from what is remembered
        training_set = load(write_list(folder, *rows))
        assert [clip.name for clip in list_clips(training_set)] == ["a.mp4"]
        assert "has the sha256" in training_set.broken[0].reason


def test_unreadable_clips_are_counted_and_named_with_their_reasons(folder):
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("not a film, whatever its name says")
    cut(make_clip(folder / "short.mp4", draw_noise(12), movflags="faststart"), 0.6)
    rows = [{"path": name} for name in ("a.mp4", "empty.mp4", "gone.mp4", "short.mp4", "text.mp4")]
    training_set = load(write_list(folder, *rows, {"path": "a.mp4", "start": 9}))
    assert [clip.name for clip in list_clips(training_set)] == ["a.mp4"]
    words = {"empty": "0 bytes", "gone": "No such file", "short": "frames end at", "text": "not a"}
    named = {skip.name: skip.reason for skip in training_set.broken}
    assert all(word in named[f"{name}.mp4"] for name, word in words.items())
    assert named["a.mp4"] == "has no frame from 9.0 s to its end"
    assert not any(str(folder) in reason for reason in named.values())


@pytest.mark.parametrize(("limit", "fails"), [(0.4, True), (0.5, False)])
def test_more_unreadable_clips_than_the_limit_are_an_error_that_names_them(folder, limit, fails):
    (folder / "empty.mp4").touch()
    rows = {"path": "a.mp4"}, {"path": "empty.mp4"}
    file = write_list(folder, *rows)
    if fails:
        with pytest.raises(ConfigError, match=r"1 of 2 clips .*empty.mp4 \(.*0 bytes"):
            load(file, broken_limit=limit)
    else:
        assert len(load(file, broken_limit=limit).broken) == 1


def test_a_tree_is_probed_once_and_what_changed_is_probed_again(folder, monkeypatch):
    load(folder)
    probed = []
    monkeypatch.setattr(
        probing_file, "probe_clip", lambda path: probed.append(path) or probe_clip(path)
    )
    load(folder)
    assert probed == []
    make_clip(folder / "a.mp4", draw_numbers(7))
    assert list_clips(load(folder))[0].frames == 7
    assert probed == [folder / "a.mp4"]


def test_with_a_damaged_or_unwritable_cache_all_clips_are_probed_again(folder, caplog):
    memory = folder.parent / "clips.npz"
    memory.write_bytes(b"PK torn")
    assert len(list_clips(load(folder, memory))) == 3
    assert "all clips are probed again" in caplog.text
    load(folder, folder.parent / "no such folder" / "clips.npz")
    assert "can't be written" in caplog.text


def test_the_hash_of_the_list_changes_with_a_file_and_with_a_row(folder):
    before = load(folder).manifest_hash
    assert load(folder).manifest_hash == before
    with (folder / "a.mp4").open("ab") as file:
        file.write(b"one more")
    after = load(folder).manifest_hash
    assert after != before
    rows = [{"path": "a.mp4", "start": start} for start in (0, 0.1)]
    hashes = [load(write_list(folder, row)).manifest_hash for row in rows]
    assert len({before, after, *hashes}) == 4


@pytest.mark.parametrize(
    "settings",
    [
        {"strides": (2, 1)},
        {"sides": (0, 128)},
        {"sides": (128, 64)},
        {"rendered": 1.5},
        {"sources": ()},
        {"sources": (SourceConfig(weight=0.0),)},
        {"kept_sides": ()},
        {"broken_limit": -1.0},
    ],
)
def test_an_invalid_value_is_an_error_that_names_its_key(folder, settings):
    (key,) = settings
    with pytest.raises(ConfigError, match=rf"data\.{key}.* is .*; it is "):
        load_training_set(replace(DataConfig(path=str(folder)), **settings), 0, folder / "m.npz")


def test_a_configuration_that_holds_out_everything_is_an_error(folder):
    with pytest.raises(ConfigError, match=r"all clips of .* are held out"):
        load(folder, held_out=("*",))


def test_the_number_of_clips_is_logged(folder, caplog):
    with caplog.at_level(logging.INFO):
        load(folder)
    assert "3 clips to train on, 0 held out, 0 can't be read" in caplog.text
