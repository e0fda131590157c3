"""ComfyUI's VIDEO, from a file or from memory, as chunks of frames with their times."""

from __future__ import annotations

import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from io import BytesIO
from math import ceil
from typing import Any

from comfy_api.latest import InputImpl
from torch import Tensor

from ..odvae_core.video import Chunk, VideoReader, take_until
from ..odvae_core.video.source import Source
from .convert import check_image, to_video

CHUNK_FRAMES = 8
"""Frames that are read at a time; schedules split them again."""


@dataclass(frozen=True)
class VideoSource:
    """The frames of a VIDEO: every call of `chunks(n)` reads them from the start, n at a time.

    `size` is (height, width), `rate` is in frames per second and `start` is the time of the first
    frame in seconds. `expected_frames` may be an estimate. `audio` is the file, or the bytes, that
    contain the audio, if any.
    """

    size: tuple[int, int]
    rate: Fraction
    start: Fraction
    expected_frames: int
    audio: Source | None
    chunks: Callable[[int], Iterator[Chunk]]


def open_video_source(video: Any) -> VideoSource:
    """The source of any VIDEO. A video in a file is read from the file, with its trimming."""
    if isinstance(video, InputImpl.VideoFromFile):
        return open_video_file(video)
    parts = video.get_components()
    check_image(parts.images, "video")
    size = (parts.images.shape[1], parts.images.shape[2])
    rate = Fraction(parts.frame_rate).limit_denominator(100_000)
    audio = write_wav(parts.audio) if parts.audio else None
    chunks = partial(split_images, parts.images, rate)
    return VideoSource(size, rate, Fraction(0), len(parts.images), audio, chunks)


def open_video_file(video: Any) -> VideoSource:
    """The source of a VIDEO in a file."""
    source = video.get_stream_source()
    # ComfyUI 0.3.64 and 0.8.0 have no trimming.
    start, duration = getattr(video, "get_active_trim_window", lambda: (0.0, 0.0))()
    reader, start = VideoReader(source, start=start), Fraction(start)
    end = start + Fraction(duration) if duration else None
    frames = reader.expected_frames
    if duration:
        frames = min(frames, ceil(duration * reader.fps) + 1)
    return VideoSource(
        reader.size, reader.fps, start, frames, source, partial(read_file_chunks, reader, end)
    )


def read_file_chunks(reader: VideoReader, end: Fraction | None, frames: int) -> Iterator[Chunk]:
    """The frames of a file before `end` seconds, `frames` at a time."""
    with reader:
        yield from take_until(reader.chunks(frames), end)


def split_images(images: Tensor, rate: Fraction, frames: int) -> Iterator[Chunk]:
    """The frames of an IMAGE at `rate` frames per second, `frames` at a time."""
    for first in range(0, len(images), frames):
        piece = images[first : first + frames]
        yield Chunk(to_video(piece), [(first + i) / rate for i in range(len(piece))])


def write_wav(audio: dict[str, Any]) -> BytesIO:
    """AUDIO, [1, channels, samples] in [-1, 1], as a 16-bit WAV file."""
    waveform = audio["waveform"][0].clamp(-1, 1).mul(2**15 - 1).round().short()
    content = BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(waveform.shape[0])
        file.setsampwidth(2)
        file.setframerate(int(audio["sample_rate"]))
        file.writeframes(waveform.T.contiguous().cpu().numpy().astype("<i2").tobytes())
    return content
