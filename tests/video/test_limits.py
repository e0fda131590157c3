"""Limits of clips: start times, sizes and names."""

import os
from fractions import Fraction

import pytest
import torch

from odvae_core import limits
from odvae_core.video import VideoError, VideoReader, VideoWriter, read_video
from tests.media import cut, draw_noise, draw_numbers, make_clip, read_numbers

FRAMES = 12


def begin_at(path, first, pictures=None, codec="libx264"):
    """A clip whose first timestamp is `first` seconds."""
    times = [Fraction(first) + Fraction(i, 24) for i in range(len(pictures or range(FRAMES)))]
    return make_clip(path, pictures or draw_numbers(FRAMES), codec=codec, times=times)


@pytest.mark.parametrize("first", [0, 5, 95_440, 93_600])  # MPEG-TS counts to 95443.7 s
@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("clip.mkv", "libx264"),
        ("clip.webm", "libvpx-vp9"),
        ("clip.ts", "libx264"),
        ("clip.mp4", "libx264"),
    ],
)
def test_a_clip_is_read_whole_wherever_its_timestamps_begin(tmp_path, name, codec, first):
    path = begin_at(tmp_path / name, first, codec=codec)
    (chunk,) = VideoReader(path).chunks(50)
    assert read_numbers(chunk.video) == list(range(FRAMES))
    assert chunk.times[0] == 0
    assert float(chunk.times[-1]) == pytest.approx((FRAMES - 1) / 24, abs=1e-3)
    assert read_numbers(read_video(path, start=0.25, frames=3)) == [6, 7, 8]


def test_frames_that_an_edit_list_hides_are_not_shown(tmp_path):
    path = begin_at(tmp_path / "clip.mp4", Fraction(-1, 4))
    assert read_numbers(read_video(path)) == list(range(6, FRAMES))


@pytest.mark.parametrize("first", [0, 5])
def test_a_matroska_file_that_is_cut_is_noticed_wherever_it_begins(tmp_path, first):
    path = cut(begin_at(tmp_path / "clip.mkv", first, draw_noise(60)), 0.6)
    with pytest.raises(VideoError, match=r"breaks after|ends too early"):
        read_video(path)


def test_a_name_is_no_pattern(tmp_path):
    for level, name in ((1, "img001.png"), (2, "img002.png"), (5, "img%03d.png")):
        picture = draw_numbers(6)[level : level + 1]
        path = make_clip(tmp_path / "one.png", picture, codec="png", pix_fmt="rgb24")
        path.rename(tmp_path / name)
    assert read_numbers(read_video(tmp_path / "img%03d.png")) == [5]


@pytest.mark.parametrize("name", ["100%.mp4", "a:b.mp4", "üñí 动.mp4", os.fsdecode(b"\xff.mp4")])
def test_a_clip_of_any_name_is_read(tmp_path, name):
    path = make_clip(tmp_path / "clip.mp4", draw_numbers(3)).rename(tmp_path / name)
    assert read_numbers(read_video(path)) == [0, 1, 2]


@pytest.mark.parametrize("name", ["x" * 300 + ".mp4", "\0.mp4"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path, name):
    with pytest.raises(VideoError, match=r"can't be read .*check the path"):
        VideoReader(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(VideoError, match="is a device or a pipe; give a file"):
        VideoReader(tmp_path / "pipe.mp4")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"size": (60_000, 60_000)}, r"60000x60000; at most 134\.2 million pixels"),
        ({"size": (1, 70_000)}, "sides of 65536"),
        ({"short_side": 60_000}, "60000x90000"),
    ],
)
def test_a_size_that_no_picture_has_is_refused(tmp_path, options, text):
    path = make_clip(tmp_path / "clip.mp4", draw_numbers(2))
    with pytest.raises(VideoError, match=text):
        VideoReader(path, **options)


def test_frames_in_flight_are_bounded_by_their_bytes(tmp_path, monkeypatch):
    path = make_clip(tmp_path / "clip.mp4", draw_numbers(7))
    monkeypatch.setattr(limits, "CHUNK_BYTES", 3 * 32 * 48 * 12)
    with VideoReader(path) as reader:
        assert [len(chunk.times) for chunk in reader.chunks(8)] == [3, 3, 1]
        assert [len(chunk.times) for chunk in reader.chunks(2)] == [2, 2, 2, 1]
        assert [len(chunk.times) for chunk in reader.pieces(5)] == [5, 2]
    monkeypatch.setattr(limits, "CHUNK_BYTES", 1)
    assert [len(chunk.times) for chunk in reader.chunks(2)] == [1] * 7


def test_a_piece_that_takes_too_much_memory_is_refused(tmp_path, monkeypatch):
    path = make_clip(tmp_path / "clip.mp4", draw_numbers(7))
    monkeypatch.setattr(limits, "LARGEST_CHUNK", 2**17)
    with VideoReader(path) as reader:
        assert len(list(reader.pieces(7))) == 1
        with pytest.raises(VideoError, match=r"8 frames of 32x48 at once take .*ask for fewer"):
            reader.pieces(8)


@pytest.mark.parametrize("fps", [0, -1, 1e-9, 1e9, float("inf"), float("nan")])
def test_a_rate_that_no_clip_has_is_refused(tmp_path, fps):
    with pytest.raises(ValueError, match="frames per second; give 1e-05 to 100000"):
        VideoWriter(tmp_path / "clip.mp4", (16, 16), fps)


@pytest.mark.parametrize(("name", "last"), [("clip.mp4", 2900), ("clip.mkv", 50_000)])
def test_frames_may_be_far_apart(tmp_path, name, last):
    times = [Fraction(0), Fraction(last)]
    with VideoWriter(tmp_path / name, (16, 16), 24) as writer:
        writer.write(torch.zeros(1, 3, 2, 16, 16), times)
    (chunk,) = VideoReader(tmp_path / name).chunks(8)
    assert chunk.times == times


def test_frames_that_are_too_far_apart_for_mp4_are_refused(tmp_path):
    writer = VideoWriter(tmp_path / "clip.mp4", (16, 16), 24)
    with (
        pytest.raises(ValueError, match=r"at most 2982 s between frames: name the file \.mkv"),
        writer,
    ):
        writer.write(torch.zeros(1, 3, 2, 16, 16), [Fraction(0), Fraction(3000)])
    assert list(tmp_path.iterdir()) == []
