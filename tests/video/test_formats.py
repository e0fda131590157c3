"""odvae_core/video: formats, colours and invalid files."""

import collections
import logging
import socket
from pathlib import Path

import av
import numpy as np
import pytest

from odvae_core.video import VideoError, VideoReader, read_video
from tests.media import cut, draw_corners, draw_noise, draw_numbers, make_clip, read_numbers

CLIPS = Path(__file__).resolve().parents[2] / "shared" / "clips"

FORMATS = [
    ("clip.webm", "libvpx-vp9", "yuv420p"),
    ("clip.mov", "prores_ks", "yuv422p10le"),
    ("clip.mkv", "ffv1", "yuv444p"),
    ("clip.avi", "mpeg4", "yuv420p"),
    ("clip.gif", "gif", "rgb8"),
    ("clip.mp4", "libx265", "yuv420p10le"),
]


@pytest.mark.parametrize(("name", "codec", "pix_fmt"), FORMATS)
def test_any_codec_is_read_with_all_its_frames(tmp_path, name, codec, pix_fmt):
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    path = make_clip(
        tmp_path / name, draw_numbers(9, 64, 64), codec=codec, pix_fmt=pix_fmt, options=options
    )
    video = read_video(path)
    assert video.shape == (1, 3, 9, 64, 64)
    if codec != "gif":  # its palette of 8 levels can't hold the numbers
        assert read_numbers(video) == list(range(9))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_an_image_is_a_clip_of_one_frame(tmp_path, suffix):
    codec, pix_fmt = {
        ".png": ("png", "rgb24"),
        ".jpg": ("mjpeg", "yuvj420p"),
        ".webp": ("libwebp", "yuv420p"),
    }[suffix]
    path = make_clip(tmp_path / f"still{suffix}", draw_corners(), codec=codec, pix_fmt=pix_fmt)
    video = read_video(path)
    assert video.shape == (1, 3, 1, 32, 48)
    assert video[0, 0, 0, 4, 4] > 0.95


def test_alpha_is_dropped_and_the_log_says_so(tmp_path, caplog):
    path = tmp_path / "glass.webm"
    make_clip(path, draw_numbers(5, 64, 64), codec="libvpx-vp9", pix_fmt="yuva420p")
    assert read_video(path).shape == (1, 3, 5, 64, 64)
    assert "alpha" in caplog.text


@pytest.mark.parametrize(
    ("pix_fmt", "height", "colorspace", "color_range", "planes", "expected"),
    [
        ("yuv420p", 32, 1, 1, (63, 102, 240), (255, 0, 0)),
        ("yuv420p", 32, 5, 1, (81, 90, 240), (255, 0, 0)),
        ("yuv420p", 32, 2, 1, (81, 90, 240), (255, 0, 0)),
        ("yuv420p", 720, 2, 1, (63, 102, 240), (255, 0, 0)),
        ("yuv420p", 32, 5, 2, (76, 85, 255), (255, 0, 0)),
        ("yuv420p", 32, 1, 1, (235, 128, 128), (255, 255, 255)),
        ("yuv420p10le", 32, 1, 1, (940, 512, 512), (255, 255, 255)),
    ],
    ids=["709", "601", "untagged", "untagged HD", "full range", "white", "10 bit white"],
)
def test_colours_follow_the_files_matrix_range_and_depth(
    tmp_path, pix_fmt, height, colorspace, color_range, planes, expected
):
    path = tmp_path / "red.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", 24)
        stream.height, stream.width = height, 32
        stream.pix_fmt = pix_fmt
        stream.codec_context.colorspace = colorspace
        stream.codec_context.color_range = color_range
        frame = av.VideoFrame(32, height, pix_fmt)
        frame.colorspace, frame.color_range = colorspace, color_range
        for plane, value in zip(frame.planes, planes, strict=True):
            dtype = np.uint16 if "10" in pix_fmt else np.uint8
            plane.update(np.full(plane.buffer_size // dtype().itemsize, value, dtype).tobytes())
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    pixel = (read_video(path)[0, :, 0, 16, 16] + 1) * 127.5
    assert pixel.tolist() == pytest.approx(expected, abs=2)


@pytest.mark.parametrize("extension", [".mp4", ".mkv", ".avi", ".ts", ".h264"])
def test_a_truncated_file_gives_what_decodes_and_then_an_error(tmp_path, extension):
    codec = "mpeg4" if extension == ".avi" else "libx264"
    flags = "faststart" if extension == ".mp4" else ""
    name = tmp_path / f"clip{extension}"
    path = cut(make_clip(name, draw_noise(60), codec=codec, movflags=flags), 0.6)
    chunks = []
    with pytest.raises(VideoError, match=r"breaks after|ends too early") as error:
        collections.deque(map(chunks.append, VideoReader(path).chunks(8)))
    frames = sum(chunk.video.shape[2] for chunk in chunks)
    assert 15 <= frames < 45
    assert str(path) in str(error.value)
    assert f"{frames} frames" in str(error.value)


def test_a_truncated_file_is_read_in_peace_up_to_the_break(tmp_path):
    path = cut(make_clip(tmp_path / "clip.mkv", draw_noise(60)), 0.6)
    assert read_video(path, frames=20).shape[2] == 20


def test_a_file_without_its_index_is_refused(tmp_path):
    path = cut(make_clip(tmp_path / "clip.mp4", draw_noise(9)), 0.6)
    with pytest.raises(VideoError, match="check that the download is complete"):
        VideoReader(path)


@pytest.mark.parametrize(
    ("content", "text"), [(b"", "empty"), (b"Dear diary\n" * 50, "not a media file")]
)
def test_files_that_are_no_video_are_refused(tmp_path, content, text):
    path = tmp_path / "diary.mp4"
    path.write_bytes(content)
    with pytest.raises(VideoError, match=text) as error:
        VideoReader(path)
    assert str(path) in str(error.value)


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(VideoError, match="is a folder; give a video file in it"):
        read_video(tmp_path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(VideoError, match=r"nowhere\.mp4: no such file"):
        VideoReader(tmp_path / "nowhere.mp4")


def test_a_sound_file_is_refused(tmp_path):
    path = tmp_path / "tone.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", 8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1600), np.int16), "s16", "stereo")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(VideoError, match=r"has no video.*audio"):
        VideoReader(path)


@pytest.mark.parametrize("opening", ["#EXTM3U\n#EXTINF:1,\n", "ffconcat version 1.0\nfile "])
def test_a_playlist_is_refused_and_reaches_no_network(tmp_path, opening):
    """A file may contain addresses; none of them is opened."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(0.2)
        path = tmp_path / "list.mp4"
        path.write_text(f"{opening}http://127.0.0.1:{server.getsockname()[1]}/part.ts\n")
        with pytest.raises(VideoError, match="a playlist"):
            VideoReader(path)
        with pytest.raises(TimeoutError):
            server.accept()


def test_hdr_is_read_and_the_log_says_that_it_is_not_tone_mapped(tmp_path, caplog):
    path = tmp_path / "bright.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", 24)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p10le"
        stream.codec_context.color_trc = av.video.reformatter.ColorTrc.SMPTE2084
        container.mux(stream.encode(av.VideoFrame(48, 32, "yuv420p10le")))
        container.mux(stream.encode(None))
    assert read_video(path).shape[2] == 1
    assert "HDR" in caplog.text


@pytest.mark.parametrize("path", sorted(CLIPS.glob("*")) or [None], ids=lambda p: p and p.name)
def test_real_clips_are_read_to_their_end(path, caplog):
    if path is None:
        pytest.skip("../shared/clips is not here")
    with caplog.at_level(logging.WARNING), VideoReader(path, short_side=16) as reader:
        times = [time for chunk in reader.chunks(32) for time in chunk.times]
    assert reader.frame_count in (None, len(times))
    assert len(times) / (times[-1] - times[0] + 1 / reader.fps) == pytest.approx(reader.fps, 0.01)
    assert not caplog.records
