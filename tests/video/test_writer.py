"""odvae_core/video: how clips are written, with their times and their sound."""

import logging
from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from odvae_core.video import VideoError, VideoReader, VideoWriter, read_video
from odvae_core.video.chunk import to_bytes
from tests.media import (
    draw_numbers,
    make_clip,
    read_numbers,
)

EXTENSIONS = [".mp4", ".mov", ".mkv"]


def numbered(frames, height=32, width=48):
    """Numbered frames as video, [1, 3, T, H, W] in [-1, 1]."""
    pictures = torch.from_numpy(np.stack(draw_numbers(frames, height, width)))
    return pictures.permute(3, 0, 1, 2)[None] / 127.5 - 1


def read_back(path):
    """Numbers and times of a written clip."""
    chunks = list(VideoReader(path).chunks(7))
    numbers = [number for chunk in chunks for number in read_numbers(chunk.video)]
    return numbers, [time for chunk in chunks for time in chunk.times]


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_frames_come_back_in_order_at_the_rate(tmp_path, extension):
    path = tmp_path / f"clip{extension}"
    with VideoWriter(path, (32, 48), 25) as writer:
        writer.write(numbered(12)[:, :, :5])
        writer.write(numbered(12)[:, :, 5:])
    assert read_back(path) == (list(range(12)), [Fraction(i, 25) for i in range(12)])
    assert VideoReader(path).fps == 25


@pytest.mark.parametrize("fps", [Fraction(24000, 1001), Fraction(60000, 1001), 29.97, 12])
def test_usual_rates_are_kept_to_the_tick(tmp_path, fps):
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, (32, 48), fps) as writer:
        writer.write(numbered(9))
    assert float(VideoReader(path).fps) == pytest.approx(float(fps), abs=1e-4)


@pytest.mark.parametrize("extension", [".mp4", ".mov"])
def test_uneven_times_are_kept_exactly(tmp_path, extension):
    times = [Fraction(0), Fraction(1, 24), Fraction(1, 2), Fraction(25025, 24000), Fraction(7)]
    path = tmp_path / f"clip{extension}"
    with VideoWriter(path, (32, 48), 24) as writer:
        writer.write(numbered(5)[:, :, :2], times[:2])
        writer.write(numbered(5)[:, :, 2:], times[2:])
    assert read_back(path) == (list(range(5)), times)
    with av.open(str(path)) as container:  # the file lasts as long as its last frame is shown
        assert container.duration / 1e6 == pytest.approx(7 + 1 / 24, abs=1e-3)


def test_matroska_keeps_times_to_the_millisecond(tmp_path):
    path = tmp_path / "clip.mkv"
    times = [Fraction(0), Fraction(1, 24), Fraction(3, 7)]
    with VideoWriter(path, (32, 48), 24) as writer:
        writer.write(numbered(3), times)
    assert [round(1000 * time) for time in times] == [1000 * time for time in read_back(path)[1]]


def test_a_clip_from_the_middle_begins_at_zero(tmp_path):
    source = make_clip(tmp_path / "source.mp4", draw_numbers(12))
    path = tmp_path / "clip.mp4"
    with VideoReader(source, start=Fraction(4, 24), stride=2) as reader:
        chunk = next(iter(reader.chunks(9)))
    with VideoWriter(path, reader.size, reader.fps) as writer:
        writer.write(chunk.video, chunk.times)
    assert read_back(path) == ([4, 6, 8, 10], [Fraction(i, 12) for i in range(4)])


def test_pixels_are_rounded_not_truncated():
    levels = torch.arange(256) / 127.5 - 1
    assert to_bytes(levels).tolist() == list(range(256))
    assert to_bytes(levels + 0.4 / 127.5).tolist() == list(range(256))
    assert to_bytes(levels[1:] - 0.4 / 127.5).tolist() == list(range(1, 256))
    assert to_bytes(torch.tensor([-2.0, 2.0])).tolist() == [0, 255]


@pytest.mark.parametrize(
    "colour",
    [(255, 0, 0), (0, 200, 90), (30, 60, 220), (255, 255, 255), (0, 0, 0), (127, 127, 127)],
)
def test_colours_come_back_as_they_were(tmp_path, colour):
    path = tmp_path / "clip.mp4"
    video = (torch.tensor(colour) / 127.5 - 1).view(1, 3, 1, 1, 1).expand(1, 3, 2, 32, 48)
    with VideoWriter(path, (32, 48), 24, quality=1) as writer:
        writer.write(video)
    assert to_bytes(read_video(path))[0, :, 1, 16, 24].tolist() == pytest.approx(colour, abs=3)


def test_files_say_bt709_and_limited_range(tmp_path):
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, (32, 48), 24) as writer:
        writer.write(numbered(2))
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    assert (frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range) == (1,) * 4
    assert frame.format.name == "yuv420p"


@pytest.mark.parametrize("size", [(33, 48), (32, 47), (33, 47)])
def test_odd_sizes_are_yuv444p_and_the_log_says_so(tmp_path, caplog, size):
    path = tmp_path / "clip.mp4"
    with caplog.at_level(logging.INFO), VideoWriter(path, size, 24) as writer:
        writer.write(numbered(2, *size))
    assert VideoReader(path).size == size
    assert "yuv444p" in caplog.text


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_metadata_is_kept(tmp_path, extension):
    path = tmp_path / f"clip{extension}"
    text = '{"nodes": ["é", 1]}'
    with VideoWriter(path, (32, 48), 24, metadata={"workflow": text}) as writer:
        writer.write(numbered(2))
    with av.open(str(path)) as container:
        assert {k.lower(): v for k, v in container.metadata.items()}["workflow"] == text


def test_an_exception_leaves_no_new_file_and_the_old_one_as_it_was(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_text("precious")
    writer = VideoWriter(path, (32, 48), 24)
    with pytest.raises(KeyboardInterrupt), writer:
        write_and_stop(writer)
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


def write_and_stop(writer):
    """Interrupted after a few frames."""
    writer.write(numbered(5))
    raise KeyboardInterrupt


def test_a_folder_that_takes_no_file_is_an_error_that_names_it(tmp_path):
    path = tmp_path / "nowhere" / "clip.mp4"
    with (
        pytest.raises(VideoError, match=r"clip\.mp4: can't be written \(No such file"),
        VideoWriter(path, (32, 48), 24) as writer,
    ):
        writer.write(numbered(5))


def test_a_full_disk_is_an_error_that_names_the_file_and_leaves_none(tmp_path, monkeypatch):
    def fill_up(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(VideoWriter, "_write_picture", fill_up)
    with (
        pytest.raises(VideoError, match=r"clip\.mp4: can't be written \(No space left on device\)"),
        VideoWriter(tmp_path / "clip.mp4", (32, 48), 24) as writer,
    ):
        writer.write(numbered(5))
    assert list(tmp_path.iterdir()) == []


def test_the_file_appears_only_when_it_is_complete(tmp_path):
    path = tmp_path / "clip.mp4"
    with VideoWriter(path, (32, 48), 24) as writer:
        writer.write(numbered(5))
        assert not path.exists()
    assert list(tmp_path.iterdir()) == [path]


def test_a_clip_without_frames_is_refused(tmp_path):
    with (
        pytest.raises(VideoError, match="no frame was written"),
        VideoWriter(tmp_path / "clip.mp4", (32, 48), 24),
    ):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("video", "times", "text"),
    [
        (numbered(2, 16, 16), None, r"\[1, 3, T, 32, 48\]"),
        (numbered(2)[0], None, r"\[1, 3, T, 32, 48\]"),
        (numbered(2) * float("nan"), None, "NaN"),
        (numbered(2), [Fraction(0)], "1 times for 2 frames"),
        (numbered(2), [Fraction(1), Fraction(1)], "give increasing times"),
    ],
)
def test_frames_that_do_not_fit_are_refused(tmp_path, video, times, text):
    writer = VideoWriter(tmp_path / "clip.mp4", (32, 48), 24)
    with pytest.raises(ValueError, match=text), writer:
        writer.write(video, times)
    assert not list(tmp_path.iterdir())


def test_containers_that_do_not_take_h264_are_refused(tmp_path):
    with pytest.raises(VideoError, match=r"'\.webm'; name the file \.mp4, \.mov, \.mkv"):
        VideoWriter(tmp_path / "clip.webm", (32, 48), 24)


@pytest.mark.parametrize("quality", [-1, 52])
def test_a_quality_outside_the_scale_is_refused(tmp_path, quality):
    with pytest.raises(ValueError, match="0 \\(lossless\\) to 51"):
        VideoWriter(tmp_path / "clip.mp4", (32, 48), 24, quality=quality)
