"""odvae_core/video: how clips are read."""

import weakref
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import pytest
import torch

from odvae_core.video import VideoError, VideoReader, read_video
from tests.media import (
    draw_corners,
    draw_numbers,
    make_clip,
    make_sounding_clip,
    read_numbers,
    turn,
)

CLIPS = Path(__file__).resolve().parents[2] / "shared" / "clips"


def read_all(reader, frames=5):
    """All numbers and times of a clip, and the lengths of its chunks."""
    chunks = list(reader.chunks(frames))
    numbers = [number for chunk in chunks for number in read_numbers(chunk.video)]
    times = [time for chunk in chunks for time in chunk.times]
    return numbers, times, [chunk.video.shape[2] for chunk in chunks]


@pytest.fixture
def clip(tmp_path):
    """Twelve numbered frames of 32x48 at 24 per second."""
    return make_clip(tmp_path / "clip.mp4", draw_numbers(12))


def test_every_frame_comes_in_order_with_its_time_in_chunks_of_the_asked_length(clip):
    with VideoReader(clip) as reader:
        numbers, times, lengths = read_all(reader)
    assert numbers == list(range(12))
    assert times == [Fraction(i, 24) for i in range(12)]
    assert lengths == [5, 5, 2]
    assert (reader.size, reader.fps, reader.frame_count) == ((32, 48), 24, 12)


def test_a_chunk_is_float32_video_on_minus_one_to_one(tmp_path):
    clip = make_clip(tmp_path / "corners.mp4", draw_corners(), options={"crf": "1"})
    video = read_video(clip)
    assert (video.shape, video.dtype) == ((1, 3, 1, 32, 48), torch.float32)
    assert video[0, :, 0, 4, 4].tolist() == pytest.approx([1, 1, 1], abs=0.02)
    assert video[0, :, 0, 28, 4].tolist() == pytest.approx([-1, -1, -1], abs=0.02)


def test_a_reader_can_be_read_again_and_left_half_way(clip):
    with VideoReader(clip) as reader:
        next(iter(reader.chunks(2)))
        assert read_all(reader)[0] == list(range(12))
    clip.unlink()  # would fail on Windows if a file were still open


def test_start_stride_and_frames_choose_the_frames(clip):
    with VideoReader(clip, start=Fraction(3, 24), stride=2, frames=4) as reader:
        numbers, times, _ = read_all(reader)
    assert numbers == [3, 5, 7, 9]
    assert times == [Fraction(n, 24) for n in numbers]
    assert reader.fps == 12
    assert VideoReader(clip, stride=5).frame_count == len(read_all(VideoReader(clip, stride=5))[0])
    assert VideoReader(clip, stride=5, frames=2).frame_count == 2


@pytest.mark.parametrize("extension", [".mp4", ".mkv", ".ts", ".avi"])
def test_any_frame_is_found_by_the_time_it_was_read_with(tmp_path, extension):
    """A seek lands on the keyframe before the time, not after it, in every container."""
    codec = "mpeg4" if extension == ".avi" else "libx264"
    path = make_clip(
        tmp_path / f"clip{extension}", draw_numbers(48), codec=codec, options={"g": "7", "bf": "2"}
    )
    times = read_all(VideoReader(path))[1]
    for index in (0, 1, 6, 7, 8, 30, 47):
        numbers, found, _ = read_all(VideoReader(path, start=float(times[index]), frames=1))
        assert (numbers, found) == ([index % 16], [times[index]])


def test_a_start_behind_the_end_is_refused(clip):
    with pytest.raises(VideoError, match=r"no frame at 9\.000 s or later"):
        read_video(clip, start=9)


def test_variable_rates_stay_variable(tmp_path):
    times = [Fraction(n, 1000) for n in (0, 40, 45, 500, 2000)]
    path = make_clip(tmp_path / "uneven.mp4", draw_numbers(5), times=times)
    assert read_all(VideoReader(path))[1] == times


def test_streams_without_timestamps_are_timed_by_their_rate_and_the_log_says_so(tmp_path, caplog):
    path = make_clip(tmp_path / "raw.h264", draw_numbers(9))
    _, times, _ = read_all(VideoReader(path))
    assert times == [Fraction(i, 25) for i in range(9)]  # raw streams count as 25 frames/s
    assert "timed at 25 frames/s" in caplog.text


def test_all_frames_come_where_other_streams_end_first_or_last(tmp_path):
    path = make_sounding_clip(tmp_path / "sound.mp4")
    assert len(read_all(VideoReader(path))[0]) == 48


@pytest.mark.parametrize(
    ("matrix", "white"),
    [
        ((0, 1, -1, 0), (0, 1)),
        ((-1, 0, 0, -1), (1, 1)),
        ((0, -1, 1, 0), (1, 0)),
        ((-1, 0, 0, 1), (0, 1)),
    ],
    ids=["clockwise", "upside down", "counterclockwise", "mirrored"],
)
def test_pictures_are_turned_as_the_file_says(tmp_path, matrix, white):
    path = turn(make_clip(tmp_path / "turned.mp4", draw_corners()), *matrix)
    video = read_video(path)
    height, width = video.shape[-2:]
    assert (height, width) == ((48, 32) if matrix[0] == 0 else (32, 48))
    row, column = ((1, height - 2)[white[0]], (1, width - 2)[white[1]])
    assert video[0, 0, 0, row, column] > 0.9


def test_a_turned_clip_is_resized_and_cropped_as_it_is_shown(tmp_path):
    path = turn(make_clip(tmp_path / "turned.mp4", draw_corners()), 0, 1, -1, 0)
    assert VideoReader(path, short_side=16).size == (24, 16)
    assert read_video(path, size=(20, 10), crop=(18, 10)).shape[-2:] == (18, 10)


def test_a_turn_by_an_odd_angle_is_refused(tmp_path):
    path = turn(make_clip(tmp_path / "askew.mp4", draw_corners()), 1, 1, -1, 1)
    with pytest.raises(VideoError, match="a multiple of 90 degrees"):
        VideoReader(path)


def test_pixels_that_are_not_square_are_made_so(tmp_path):
    path = make_clip(tmp_path / "wide.mp4", draw_corners(), aspect=Fraction(4, 3))
    assert VideoReader(path).size == (32, 64)


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"short_side": 16}, (16, 24)),
        ({"size": (20, 20)}, (20, 20)),
        ({"crop": 10}, (30, 40)),
        ({"crop": (9, 48)}, (9, 48)),
        ({"short_side": 20, "crop": 8}, (16, 24)),
    ],
)
def test_resize_and_crop_give_the_size_that_the_reader_states(clip, options, size):
    assert VideoReader(clip, **options).size == size
    assert read_video(clip, **options).shape[-2:] == size


def test_a_crop_is_the_centre(tmp_path):
    path = make_clip(tmp_path / "corners.mp4", draw_corners(), options={"crf": "1"})
    whole = read_video(path)
    torch.testing.assert_close(read_video(path, crop=(8, 16)), whole[..., 12:20, 16:32])


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"short_side": 8, "size": (8, 8)}, ValueError, "one of the two"),
        ({"crop": (64, 64)}, VideoError, "64x64 out of 32x48"),
        ({"crop": 64}, VideoError, "out of 32x48"),
        ({"stride": 0}, ValueError, "stride=0"),
        ({"frames": 0}, ValueError, "frames=0"),
        ({"start": -1}, ValueError, "start=-1"),
    ],
)
def test_options_that_cannot_be_met_are_refused(clip, options, error, text):
    with pytest.raises(error, match=text):
        VideoReader(clip, **options)


def test_memory_holds_a_few_chunks_of_a_long_clip(tmp_path):
    path = make_clip(tmp_path / "long.mp4", draw_numbers(600), codec="mpeg4")
    alive: list[weakref.ref] = []
    frames = 0
    with VideoReader(path) as reader:
        for chunk in reader.chunks(10):
            alive = [tensor for tensor in alive if tensor() is not None]
            alive.append(weakref.ref(chunk.video))
            frames += chunk.video.shape[2]
            assert len(alive) <= 2
    assert frames == 600


def test_a_clip_in_memory_reads_like_a_file(clip):
    assert torch.equal(read_video(BytesIO(clip.read_bytes())), read_video(clip))
