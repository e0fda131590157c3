"""The clips that are held out where the configuration names none."""

from pathlib import Path

import pytest

from tests.media import draw_noise, draw_numbers, make_clip
from train.config import DataConfig, EvaluationConfig
from train.data import load_training_set
from train.data.clip_facts import ClipFacts
from train.data.clips import FileClip
from train.data.held_out import choose_held_out, limit_clips
from train.data.probing import hash_content

EVALUATION = EvaluationConfig(sides=(32,), frames=5, size=16, stride=2)


def describe(content, frames=20, side=64):
    return ClipFacts(side, frames, 0.0, 0.04, content=content)


def test_a_clip_is_held_out_by_its_content_whatever_the_others_are():
    step = 2**64 // 100
    files = {Path(f"{i}.mp4"): describe(i * step + 100) for i in range(100)}
    chosen = choose_held_out(files, 0.05, EVALUATION)
    assert chosen == [Path(f"{i}.mp4") for i in range(5)]
    part = {path: facts for path, facts in files.items() if path.stem in {"1", "3", "50", "60"}}
    assert choose_held_out(part, 0.05, EVALUATION) == [Path("1.mp4"), Path("3.mp4")]


def test_of_few_clips_one_is_held_out():
    files = {Path(name): describe(2**63 + i) for i, name in enumerate("ba")}
    assert choose_held_out(files, 0.01, EVALUATION) == [Path("b")]


def test_clips_that_evaluations_cannot_use_are_trained_on():
    files = {
        Path("picture"): describe(0, frames=1),
        Path("short"): describe(1, frames=8),
        Path("small"): describe(2, side=30),
        Path("one"): describe(2**63),
        Path("other"): describe(2**63 + 1),
    }
    assert choose_held_out(files, 0.01, EVALUATION) == [Path("one")]


def test_nothing_is_held_out_of_one_clip_and_without_a_share(caplog):
    files = {Path("a"): describe(0), Path("b"): describe(1, frames=1)}
    assert choose_held_out(files, 0.01, EVALUATION) == []
    assert "nothing is evaluated: 1 of 2 clips can be cut" in caplog.text
    caplog.clear()
    assert choose_held_out(files, 0.0, EVALUATION) == []
    assert caplog.text == ""


def test_evaluations_use_the_clips_with_the_smallest_hashes_in_their_order():
    clips = [
        FileClip(str(i), Path(str(i)), describe(hash_), 0, 20) for i, hash_ in enumerate("cab")
    ]
    assert [clip.name for clip in limit_clips(clips, 2)] == ["1", "2"]


def test_the_hash_depends_on_size_beginning_and_end(tmp_path):
    contents = [b"a" * 200_000, b"a" * 200_001, b"b" + b"a" * 199_999, b"a" * 199_999 + b"b"]
    hashes = set()
    for content in contents:
        (tmp_path / "clip").write_bytes(content)
        hashes.add(hash_content(tmp_path / "clip"))
    assert len(hashes) == 4
    (tmp_path / "copy").write_bytes(contents[0])
    assert hash_content(tmp_path / "copy") in hashes


@pytest.mark.parametrize("named", [(), ("b.mkv",)])
def test_no_sample_is_drawn_from_a_held_out_clip(tmp_path, named):
    make_clip(tmp_path / "a.mkv", draw_numbers(12), codec="ffv1")
    make_clip(tmp_path / "b.mkv", draw_noise(12), codec="ffv1", pix_fmt="bgr0")
    config = DataConfig(str(tmp_path), held_out=named)
    training_set = load_training_set(config, 0, tmp_path / "clips.npz", EVALUATION)
    (held_out,) = training_set.held_out
    (source,) = training_set.sources
    assert sorted([held_out.name, source.clips[0].name]) == ["a.mkv", "b.mkv"]
    assert not named or held_out.name == "b.mkv"
    again = load_training_set(config, 0, tmp_path / "clips.npz", EVALUATION)
    assert again.held_out[0].name == held_out.name
