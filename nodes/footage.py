"""A VIDEO as chunks of frames with their times, wherever ComfyUI has it: in a file or in memory."""

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

from ..odvae_core.video import Chunk, VideoReader
from ..odvae_core.video.source import Source
from .convert import check_image, to_video

AT_A_TIME = 8
"""Frames that are read at once: schedules cut them anew."""


@dataclass(frozen=True)
class Footage:
    """The frames of a VIDEO: `chunks(n)` gives them n at a time, again and again.

    `size` is (height, width), `rate` in frames per second, `start` the time of the first frame in
    seconds; `expected_frames` may be an estimate; `sound` is the file, or the bytes, that hold its
    sound, if any.
    """

    size: tuple[int, int]
    rate: Fraction
    start: Fraction
    expected_frames: int
    sound: Source | None
    chunks: Callable[[int], Iterator[Chunk]]


def open_footage(video: Any) -> Footage:
    """The frames of any VIDEO: of one in a file from there, trimmed as it is."""
    if isinstance(video, InputImpl.VideoFromFile):
        return open_file(video)
    parts = video.get_components()
    check_image(parts.images, "video")
    size = (parts.images.shape[1], parts.images.shape[2])
    rate = Fraction(parts.frame_rate).limit_denominator(100_000)
    sound = write_sound(parts.audio) if parts.audio else None
    chunks = partial(cut_images, parts.images, rate)
    return Footage(size, rate, Fraction(0), len(parts.images), sound, chunks)


def open_file(video: Any) -> Footage:
    source = video.get_stream_source()
    # 0.3.64 and 0.8.0 know no trimming.
    start, duration = getattr(video, "get_active_trim_window", lambda: (0.0, 0.0))()
    reader, start = VideoReader(source, start=start), Fraction(start)
    end = start + Fraction(duration) if duration else None
    frames = reader.expected_frames
    if duration:
        frames = min(frames, ceil(duration * reader.fps) + 1)
    return Footage(reader.size, reader.fps, start, frames, source, partial(cut_file, reader, end))


def cut_file(reader: VideoReader, end: Fraction | None, frames: int) -> Iterator[Chunk]:
    """The frames of a file that are shown before `end` seconds."""
    with reader:
        for chunk in reader.chunks(frames):
            kept = sum(end is None or time < end for time in chunk.times)
            if kept:
                yield Chunk(chunk.video[:, :, :kept], chunk.times[:kept])
            if kept < len(chunk.times):
                return


def cut_images(images: Tensor, rate: Fraction, frames: int) -> Iterator[Chunk]:
    """The frames of an IMAGE, so many a second."""
    for first in range(0, len(images), frames):
        piece = images[first : first + frames]
        yield Chunk(to_video(piece), [(first + i) / rate for i in range(len(piece))])


def write_sound(audio: dict[str, Any]) -> BytesIO:
    """AUDIO, [1, channels, samples] in [-1, 1], as a WAV file of 16 bit."""
    waveform = audio["waveform"][0].clamp(-1, 1).mul(2**15 - 1).round().short()
    content = BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(waveform.shape[0])
        file.setsampwidth(2)
        file.setframerate(int(audio["sample_rate"]))
        file.writeframes(waveform.T.contiguous().cpu().numpy().astype("<i2").tobytes())
    return content
