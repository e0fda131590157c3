"""The facts about a file: its short side, the number of frames, and their times."""

from fractions import Fraction

import pytest
import torch

from tests.media import draw_numbers, make_clip, read_numbers, turn
from train.data.clips import FileClip
from train.data.probing import probe_clip

UNEVEN = [Fraction(tick, 10) for tick in (0, 1, 2, 3, 10, 11, 12, 20, 30, 31)]


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.jpg", "mjpeg", "yuvj420p"),
        ("a.png", "png", "rgb24"),
        ("a.bmp", "bmp", "bgr24"),
        ("a.webp", "libwebp", "yuv420p"),
    ],
)
def test_a_picture_is_a_clip_of_one_frame(tmp_path, name, codec, pix_fmt):
    path = make_clip(tmp_path / name, draw_numbers(1, 32, 48), codec=codec, pix_fmt=pix_fmt)
    facts = probe_clip(path)
    assert (facts.side, facts.frames, facts.time_before(0)) == (32, 1, 0.0)


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264")])
def test_frames_are_counted_whether_the_container_lists_them_or_not(tmp_path, name, codec):
    facts = probe_clip(make_clip(tmp_path / name, draw_numbers(13), codec=codec))
    assert (facts.frames, facts.times) == (13, ())
    assert facts.step == pytest.approx(1 / 24, abs=1e-3)
    assert facts.count_before(5 / 24) == 5


def test_a_turned_clip_has_the_short_side_that_a_player_shows(tmp_path):
    path = turn(make_clip(tmp_path / "a.mp4", draw_numbers(2, 64, 48)), 0, 1, -1, 0)
    assert probe_clip(path).side == 48


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_every_frame_of_an_unevenly_spaced_clip_is_found_by_its_number(tmp_path, name):
    path = make_clip(tmp_path / name, draw_numbers(10), times=UNEVEN)
    clip = FileClip(name, path, probe_clip(path), 0, 10)
    assert clip.facts.times == pytest.approx([float(time) for time in UNEVEN])
    for start in range(10):
        video = torch.cat(list(clip.decode(start, 1, 1, 32))).transpose(0, 1)[None]
        assert read_numbers(video / 127.5 - 1) == [start]
