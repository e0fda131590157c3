"""The clips of an evaluation, and their crops."""

import pytest
import torch

from odvae_core.evaluation import Protocol, cut_crops, list_videos
from odvae_core.video import ListingError, VideoError, read_video
from tests.media import draw_noise, draw_numbers, make_clip, read_numbers


def test_folders_are_searched_and_clips_named_by_their_place_below(tmp_path):
    (tmp_path / "b").mkdir()
    for name in ("z.mp4", "b/a.MKV", "._z.mp4", "still.png", "notes.txt"):
        (tmp_path / name).touch()
    assert list_videos([tmp_path]) == {
        "b/a.MKV": tmp_path / "b/a.MKV",
        "z.mp4": tmp_path / "z.mp4",
    }
    assert list(list_videos([tmp_path / "notes.txt"])) == ["notes.txt"]


def test_two_clips_of_one_name_are_refused(tmp_path):
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "clip.mp4").touch()
    with pytest.raises(ListingError, match=r"two clips named clip\.mp4: rename one"):
        list_videos([tmp_path / "a", tmp_path / "b"])


def test_a_missing_path_and_an_empty_folder_are_refused(tmp_path):
    with pytest.raises(ListingError, match="none: no such file or folder"):
        list_videos([tmp_path / "none"])
    with pytest.raises(ListingError, match="a folder without videos"):
        list_videos([tmp_path])


def test_pieces_follow_one_another_in_strides_and_the_rest_is_left(tmp_path):
    clip = make_clip(tmp_path / "a.mkv", draw_numbers(15), codec="ffv1")
    crops = cut_crops(clip, Protocol(frames=3, size=16, stride=2, pieces=9))
    assert crops[16].shape == (2, 3, 3, 16, 16)
    assert [read_numbers(crop) for crop in crops[16].split(1)] == [[0, 2, 4], [6, 8, 10]]


def test_crops_are_the_centre_and_then_the_corners(tmp_path):
    clip = make_clip(tmp_path / "a.mkv", draw_noise(2), codec="ffv1")
    video = read_video(clip)
    crops = cut_crops(clip, Protocol(frames=2, size=16, short_sides=(32,), crops=5))[32]
    corners = [(8, 16), (0, 0), (0, 32), (16, 0), (16, 32)]
    for crop, (top, left) in zip(crops, corners, strict=True):
        assert torch.equal(crop, video[0, ..., top : top + 16, left : left + 16])


def test_a_clip_is_cut_at_every_short_side(tmp_path):
    clip = make_clip(tmp_path / "a.mkv", draw_numbers(2), codec="ffv1")
    crops = cut_crops(clip, Protocol(frames=2, size=16, short_sides=(24, 32)))
    assert {side: crop.shape[0] for side, crop in crops.items()} == {24: 1, 32: 1}


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        (Protocol(frames=2, size=16, short_sides=(16, 40)), "has a short side of 32.*protocol 40"),
        (Protocol(frames=6, size=16), "has fewer than 6 frames at stride 1"),
    ],
)
def test_a_clip_that_is_too_small_or_too_short_is_refused(tmp_path, protocol, message):
    clip = make_clip(tmp_path / "a.mkv", draw_numbers(5), codec="ffv1")
    with pytest.raises(VideoError, match=message):
        cut_crops(clip, protocol)
