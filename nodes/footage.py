"""A VIDEO as chunks of frames with their times, wherever ComfyUI has it: in a file or in memory."""

from __future__ import annotations

import wave
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from typing import Any

from comfy_api.latest import InputImpl

from ..odvae_core.video import Chunk, VideoReader
from ..odvae_core.video.source import Source
from .convert import check_image, to_video

AT_A_TIME = 8
"""Frames that are read at once: schedules cut them anew."""


@dataclass(frozen=True)
class Footage:
    """The frames of a VIDEO: `size` is (height, width), `rate` in frames per second, `count` is
    None
    where it isn't known beforehand, and `sound` is the file, or the bytes, that hold its sound."""

    size: tuple[int, int]
    rate: Fraction
    count: int | None
    sound: Source | None
    reader: VideoReader | None = None
    images: Any = None
    duration: float = 0.0

    def chunks(self, frames: int) -> Iterator[Chunk]:
        """The clip, `frames` frames at a time; it can be read again and again."""
        chunks = self._from_file(frames) if self.reader else self._from_memory(frames)
        with closing(chunks):
            yield from chunks

    def _from_file(self, frames: int) -> Iterator[Chunk]:
        start = None
        with self.reader:
            for chunk in self.reader.chunks(frames):
                start = chunk.times[0] if start is None else start
                kept = count_before(chunk.times, start + Fraction(self.duration))
                if not self.duration:
                    kept = len(chunk.times)
                if kept:
                    yield Chunk(chunk.video[:, :, :kept], chunk.times[:kept])
                if kept < len(chunk.times):
                    return

    def _from_memory(self, frames: int) -> Iterator[Chunk]:
        for first in range(0, len(self.images), frames):
            piece = self.images[first : first + frames]
            times = [Fraction(first + i) / self.rate for i in range(len(piece))]
            yield Chunk(to_video(piece), times)


def open_footage(video: Any) -> Footage:
    """The frames of any VIDEO. One in a file is read from there, and a trimmed one trimmed."""
    if isinstance(video, InputImpl.VideoFromFile):
        source = video.get_stream_source()
        # 0.3.64 and 0.8.0 know no trimming.
        window = getattr(video, "get_active_trim_window", lambda: (0.0, 0.0))
        start, duration = window()
        reader = VideoReader(source, start=start)
        count = None if duration else reader.frame_count
        return Footage(reader.size, reader.fps, count, source, reader=reader, duration=duration)
    parts = video.get_components()
    check_image(parts.images, "video")
    rate = Fraction(parts.frame_rate).limit_denominator(100_000)
    sound = write_sound(parts.audio) if parts.audio else None
    return Footage(
        tuple(parts.images.shape[1:3]), rate, len(parts.images), sound, images=parts.images
    )


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


def count_before(times: list[Fraction], end: Fraction) -> int:
    """How many of these rising times come before `end`."""
    return sum(time < end for time in times)
