"""Small media files for tests: frames whose grey level is their number, sounds, patched headers."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from torch import Tensor

STEP, DARKEST = 16, 8  # frame i is grey 8 + 16 i, up to 15


def draw_numbers(frames: int, height: int = 32, width: int = 48) -> list[np.ndarray]:
    """Grey pictures, uint8 [H, W, 3], whose level is their number modulo 16."""
    return [np.full((height, width, 3), DARKEST + STEP * (i % 16), np.uint8) for i in range(frames)]


def draw_corners(frames: int = 1) -> list[np.ndarray]:
    """Pictures 32x48: the upper left quarter white, the upper right grey, the lower half black."""
    picture = np.zeros((32, 48, 3), np.uint8)
    picture[:16, :24], picture[:16, 24:] = 255, 128
    return [picture] * frames


def draw_noise(frames: int, height: int = 32, width: int = 48) -> list[np.ndarray]:
    """Pictures that compress badly, so that a cut file is cut in its pictures."""
    generator = np.random.default_rng(0)
    return list(generator.integers(0, 256, (frames, height, width, 3), dtype=np.uint8))


def read_numbers(video: Tensor) -> list[int]:
    """The numbers of the frames of a [1, 3, T, H, W] that show them."""
    levels = (video.mean(dim=(0, 1, 3, 4)) + 1) * 127.5
    return [round((level - DARKEST) / STEP) for level in levels.tolist()]


def make_clip(
    path: Path,
    pictures: list[np.ndarray],
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rate: int = 24,
    times: list[Fraction] | None = None,
    options: dict[str, str] | None = None,
    movflags: str = "",
    aspect: Fraction | None = None,
) -> Path:
    """Encode pictures with PyAV itself, not through the writer under test."""
    with av.open(str(path), "w", options={"movflags": movflags} if movflags else {}) as container:
        stream = container.add_stream(codec, rate, options or {})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pix_fmt
        if times:
            stream.codec_context.time_base = Fraction(1, 90_000)
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        for index, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24").reformat(format=pix_fmt)
            if times:
                frame.time_base = Fraction(1, 90_000)
                frame.pts = round(times[index] * 90_000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def make_sounding_clip(
    path: Path, *, audio: str = "aac", codec: str = "libx264", seconds: int = 2, rate: int = 48_000
) -> Path:
    """Numbered frames at 24/s beside a tone that gets louder each half second."""
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, 24)
        video.height, video.width, video.pix_fmt = 32, 48, "yuv420p"
        sound = container.add_stream(audio, rate)
        for picture in draw_numbers(24 * seconds):
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        clock = np.arange(seconds * rate) / rate
        tone = np.sin(2 * np.pi * 440 * clock) * 0.2 * (1 + np.floor(2 * clock))
        samples = np.stack([tone, tone]).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(samples, "fltp", "stereo")
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
        container.mux(video.encode(None))
    return path


def turn(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Write a display matrix into an MP4's video track header: x' = a x + c y, y' = b x + d y."""
    data = bytearray(path.read_bytes())
    matrix = data.find(b"tkhd") + 44  # behind type, version, flags, times, layer and volume
    one = 1 << 16
    struct.pack_into(">9i", data, matrix, a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def cut(path: Path, share: float) -> Path:
    """Keep the first part of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: round(len(data) * share)])
    return path
