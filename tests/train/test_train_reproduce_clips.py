"""Small copies of the user's clips, of which some are held out."""

import shutil

import pytest

from odvae_core.video import read_video
from tests.media import draw_numbers, make_clip, read_numbers
from train.config import ConfigError
from train.reproduce.clips import FEWEST, choose_held_out, prepare_clips


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A folder with two long clips and one that is too short."""
    folder = tmp_path_factory.mktemp("given")
    make_clip(folder / "a.mp4", draw_numbers(FEWEST, 152, 160))
    make_clip(folder / "b.mp4", draw_numbers(FEWEST, 152, 160))
    make_clip(folder / "c.mp4", draw_numbers(FEWEST - 1, 152, 160))
    return folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_clips_are_scaled_and_held_out_ones_have_their_prefix(given, tmp_path):
    folder, _ = prepare_clips(given, ["b*"], tmp_path)
    assert names(folder) == ["held-out-001-b.mp4.mkv", "train-000-a.mp4.mkv"]
    video = read_video(folder / "train-000-a.mp4.mkv")
    assert video.shape == (1, 3, FEWEST, 144, 152)
    assert read_numbers(video) == [i % 16 for i in range(FEWEST)]


def test_a_clip_that_is_too_short_is_skipped_and_named(given, tmp_path):
    _, left_out = prepare_clips(given, ["b*"], tmp_path)
    (reason,) = left_out
    assert f"c.mp4: has {FEWEST - 1} frames; {FEWEST} are needed" in reason


def test_a_clip_that_is_too_small_or_unreadable_is_skipped_and_named(given, tmp_path):
    clips = shutil.copytree(given, tmp_path / "clips")
    make_clip(clips / "small.mp4", draw_numbers(FEWEST, 142, 160))
    (clips / "torn.mp4").write_bytes(b"no video")
    _, left_out = prepare_clips(clips, ["b*"], tmp_path)
    assert len(left_out) == 3
    assert "small.mp4: has a short side of 142; 144 is needed" in left_out[1]
    assert "torn.mp4" in left_out[2]


def test_clips_are_prepared_once(given, tmp_path):
    folder, _ = prepare_clips(given, ["b*"], tmp_path)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert prepare_clips(given, ["b*"], tmp_path)[0] == folder
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_another_choice_of_held_out_clips_is_another_folder(given, tmp_path):
    first, _ = prepare_clips(given, ["a*"], tmp_path)
    assert prepare_clips(given, ["b*"], tmp_path)[0] != first


def test_without_a_clip_to_train_on_the_clips_are_refused(given, tmp_path):
    with pytest.raises(ConfigError, match=r"of 3 clips none is left for train .*add clips"):
        prepare_clips(given, ["a*", "b*"], tmp_path)


def test_without_a_clip_to_evaluate_on_the_clips_are_refused(given, tmp_path):
    with pytest.raises(ConfigError, match=r"none is left for held-out .*c\.mp4"):
        prepare_clips(given, ["c*"], tmp_path)


def test_every_fifth_clip_is_held_out_or_the_last_of_fewer():
    assert choose_held_out(list("abcdefghijkl"), []) == {"e", "j"}
    assert choose_held_out(list("abc"), []) == {"c"}


def test_patterns_that_match_nothing_are_refused():
    with pytest.raises(ConfigError, match=r"--held-out x\* matches none of a, b"):
        choose_held_out(["a", "b"], ["x*"])
