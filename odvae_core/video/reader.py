"""Clips in: decoded, turned, resized and cropped, a few frames at a time."""

import logging
import weakref
from collections.abc import Generator, Iterator
from fractions import Fraction
from itertools import islice
from math import ceil
from types import TracebackType
from typing import Self

import numpy as np
import torch
from av import VideoFrame
from av.error import FFmpegError
from av.video.reformatter import Colorspace, ColorTrc, VideoReformatter
from torch import Tensor

from ..limits import LONGEST_CLIP, check_chunk, count_in_flight, largest_picture
from .chunk import Chunk, to_video
from .decoding import VideoInfo, decode, inspect
from .geometry import SCALER, Size, plan
from .source import Source, VideoError, name_of, reason, size_of

log = logging.getLogger(__name__)

UNTAGGED = 2  # AVCOL_SPC_UNSPECIFIED
HD_LINES = 720  # untagged pictures of this height are BT.709, smaller ones BT.601, as in players
CHUNK = 64  # frames that read_video converts at a time
UNKNOWN_LENGTH = Fraction(600)  # seconds that a file is expected to have that states no length
HDR = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)


class VideoReader:
    """A clip in a file (or BytesIO), delivered in chunks, from the start as often as asked.

    short_side: resize so that the shorter side is this; size: resize to exactly (height, width);
    crop: then cut the centred (height, width), or with one number the largest multiples of it.
    start: seconds since the file's beginning, of the first frame (to the millisecond);
    stride: every stride-th frame from there; frames: at most that many of these.

    Pictures come as a player shows them: turned and mirrored as the file says, with square pixels
    (the sample aspect ratio stretches the width), in full-range RGB by the file's own matrix and
    range. Alpha is dropped and HDR is not tone-mapped, both logged; interlaced frames stay woven.

    size: (height, width) as delivered. fps: mean rate as delivered. frame_count: exact, or None
    where the container doesn't list its frames. expected_frames: the same, or an estimate by the
    length that the container states, or by UNKNOWN_LENGTH. VideoError: no such file, no picture in
    it, or, while reading, a file that breaks or ends too early, after the last frame that decodes.
    (Raw streams, MPEG-TS and GIF state no length: a cut between two of their frames can't be seen.)
    """

    def __init__(
        self,
        source: Source,
        *,
        short_side: int | None = None,
        size: Size | None = None,
        crop: Size | int | None = None,
        start: Fraction | float = 0,
        frames: int | None = None,
        stride: int = 1,
    ) -> None:
        _check_options(short_side, size, start, frames, stride)
        info = inspect(source)
        try:
            most = largest_picture(size_of(source))
            geometry = plan(info.first, info.pixel_aspect, short_side, size, crop, most)
        except ValueError as error:
            raise VideoError(f"{name_of(source)}: {error}") from error
        _log_losses(name_of(source), info)
        self.source = source
        self.size = geometry.size
        self.fps = info.rate / stride
        self.frame_count = _count_delivered(info.frame_count, start, frames, stride)
        self.expected_frames = self.frame_count or _expect_frames(info, start, frames, stride)
        self._geometry = geometry
        self._begin, self._frames, self._stride = Fraction(start), frames, stride
        self._running: weakref.WeakSet[Generator] = weakref.WeakSet()

    def chunks(self, frames: int) -> Iterator[Chunk]:
        """The clip in chunks of at most `frames` frames: of fewer where the pictures are large."""
        return self._start_reading(min(frames, count_in_flight(*self.size)))

    def pieces(self, frames: int) -> Iterator[Chunk]:
        """The clip in chunks of exactly `frames` frames; the last may be shorter.

        VideoError: so many frames of this size take more memory than `LARGEST_CHUNK`.
        """
        try:
            check_chunk(frames, *self.size)
        except ValueError as error:
            raise VideoError(f"{name_of(self.source)}: {error}") from error
        return self._start_reading(frames)

    def _start_reading(self, frames: int) -> Iterator[Chunk]:
        if frames < 1:
            raise ValueError(f"got chunks of {frames} frames; a chunk has 1 or more")
        chunks = self._read_chunks(frames)
        self._running.add(chunks)
        return chunks

    def close(self) -> None:
        """Close the files of readings that were left half way."""
        for chunks in list(self._running):
            chunks.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _read_chunks(self, frames: int) -> Generator[Chunk]:
        pictures: list[np.ndarray] = []
        times: list[Fraction] = []
        try:
            for picture, time in self._deliver():
                pictures.append(picture)
                times.append(time)
                if len(times) == frames:
                    yield Chunk(to_video(pictures), times)
                    pictures, times = [], []
        except VideoError:
            if times:
                yield Chunk(to_video(pictures), times)
            raise
        if times:
            yield Chunk(to_video(pictures), times)

    def _deliver(self) -> Iterator[tuple[np.ndarray, Fraction]]:
        """The chosen frames as uint8 [h, w, 3] with their times."""
        scaler = VideoReformatter()
        stop = None if self._frames is None else (self._frames - 1) * self._stride + 1
        time = None
        for frame, time in islice(decode(self.source, self._begin), 0, stop, self._stride):
            yield self._geometry.arrange(self._convert(scaler, frame)), time
        if time is None:
            raise VideoError(
                f"{name_of(self.source)}: has no frame at {float(self._begin):.3f} s or later; "
                "start earlier"
            )

    def _convert(self, scaler: VideoReformatter, frame: VideoFrame) -> np.ndarray:
        """The decoder's picture -> full-range RGB, uint8 [H, W, 3], scaled but not yet turned."""
        height, width = self._geometry.scaled
        hd = frame.colorspace == UNTAGGED and frame.height >= HD_LINES
        try:
            rgb = scaler.reformat(
                frame,
                width,
                height,
                "rgb24",
                src_colorspace=Colorspace.ITU709 if hd else None,
                interpolation=SCALER,
            )
        except FFmpegError as error:
            raise VideoError(
                f"{name_of(self.source)}: its {frame.format.name} pictures cannot be made RGB "
                f"({reason(error)}); re-encode it, say to H.264"
            ) from error
        return rgb.to_ndarray()


def read_video(
    source: Source,
    *,
    short_side: int | None = None,
    size: Size | None = None,
    crop: Size | int | None = None,
    start: Fraction | float = 0,
    frames: int | None = None,
    stride: int = 1,
) -> Tensor:
    """A short clip at once: float32 [1, 3, T, H, W] in [-1, 1]; the rest is as VideoReader's."""
    with VideoReader(
        source,
        short_side=short_side,
        size=size,
        crop=crop,
        start=start,
        frames=frames,
        stride=stride,
    ) as reader:
        return torch.cat([chunk.video for chunk in reader.chunks(CHUNK)], dim=2)


def _check_options(
    short_side: int | None,
    size: Size | None,
    start: Fraction | float,
    frames: int | None,
    stride: int,
) -> None:
    if short_side is not None and size is not None:
        raise ValueError(f"got short_side={short_side} and size={size}; give one of the two")
    if not 0 <= start <= LONGEST_CLIP:
        raise ValueError(f"got start={start}; a clip starts at 0 to {LONGEST_CLIP} seconds")
    if frames is not None and frames < 1:
        raise ValueError(f"got frames={frames}; ask for 1 or more, or None for all")
    if stride < 1:
        raise ValueError(f"got stride={stride}; 1 delivers every frame, 2 every other one")


def _count_delivered(
    count: int | None, start: Fraction | float, frames: int | None, stride: int
) -> int | None:
    if count is None or start:
        return None
    delivered = -(-count // stride)
    return delivered if frames is None else min(frames, delivered)


def _expect_frames(
    info: VideoInfo, start: Fraction | float, frames: int | None, stride: int
) -> int:
    seconds = UNKNOWN_LENGTH if info.seconds is None else info.seconds - Fraction(start)
    delivered = max(1, ceil(seconds * info.rate / stride))
    return delivered if frames is None else min(frames, delivered)


def _log_losses(name: str, info: VideoInfo) -> None:
    if info.has_alpha:
        log.warning("%s: its alpha channel is dropped; the colours beneath it show", name)
    if info.first.color_trc in HDR:
        log.warning("%s: is HDR and is not tone-mapped; its colours will look pale", name)
    if info.pixel_aspect != 1:
        log.info("%s: pixels of aspect %s are made square", name, info.pixel_aspect)
