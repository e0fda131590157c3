"""Reads clips: decoded, rotated, resized and cropped, a few frames at a time."""

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
from .decoding import VideoInfo, decode_frames, read_video_info
from .geometry import SCALER, Size, plan_geometry
from .source import Source, VideoError, error_reason, source_bytes, source_name

log = logging.getLogger(__name__)

UNTAGGED = 2  # AVCOL_SPC_UNSPECIFIED
HD_LINES = 720  # untagged pictures of this height are BT.709, smaller ones BT.601, as in players
CHUNK_FRAMES = 64  # frames that read_video converts at a time
UNKNOWN_LENGTH = Fraction(600)  # expected seconds of a file that states no duration
HDR = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)


class VideoReader:
    """Reads a clip from a file (or BytesIO) in chunks; every call starts at the beginning.

    short_side: resize so that the shorter side is this; size: resize to exactly (height, width);
    crop: then crop the centred (height, width), or with one number the largest multiples of it.
    start: seconds since the file's beginning, of the first frame (to the millisecond); stride:
    every stride-th frame from there; frames: at most this many of them.

    Frames are delivered as a player shows them: rotated and mirrored as the file states, with
    square pixels (the sample aspect ratio scales the width), in full-range RGB by the file's own
    matrix and range. Alpha is dropped and HDR is not tone-mapped, both logged; interlaced frames
    are not deinterlaced.

    size: (height, width) as delivered. fps: mean rate as delivered. frame_count: exact, or None if
    the container doesn't list its frames. expected_frames: the same, or an estimate from the
    duration that the container states, or from UNKNOWN_LENGTH. VideoError: no such file, no video
    in it, or, while reading and after the last frame that decodes, a file that is damaged or ends
    too early. (Raw streams, MPEG-TS and GIF state no duration: truncation between two frames isn't
    detected.)
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
        info = read_video_info(source)
        try:
            most = largest_picture(source_bytes(source))
            geometry = plan_geometry(info.first, info.pixel_aspect, short_side, size, crop, most)
        except ValueError as error:
            raise VideoError(f"{source_name(source)}: {error}") from error
        _log_losses(source_name(source), info)
        self.source = source
        self.size = geometry.size
        self.fps = info.rate / stride
        self.frame_count = _count_delivered(info.frame_count, start, frames, stride)
        self.expected_frames = self.frame_count or _expect_frames(info, start, frames, stride)
        self._geometry = geometry
        self._begin, self._frames, self._stride = Fraction(start), frames, stride
        self._running: weakref.WeakSet[Generator] = weakref.WeakSet()

    def chunks(self, frames: int) -> Iterator[Chunk]:
        """The clip in chunks of at most `frames` frames; of fewer if the frames are large."""
        return self._start_reading(min(frames, count_in_flight(*self.size)))

    def pieces(self, frames: int) -> Iterator[Chunk]:
        """The clip in chunks of exactly `frames` frames; the last may be shorter.

        VideoError: the frames would take more memory than `LARGEST_CHUNK`.
        """
        try:
            check_chunk(frames, *self.size)
        except ValueError as error:
            raise VideoError(f"{source_name(self.source)}: {error}") from error
        return self._start_reading(frames)

    def _start_reading(self, frames: int) -> Iterator[Chunk]:
        if frames < 1:
            raise ValueError(f"got chunks of {frames} frames; a chunk has 1 or more")
        chunks = self._read_chunks(frames)
        self._running.add(chunks)
        return chunks

    def close(self) -> None:
        """Close the files of iterators that were not exhausted."""
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
        """The selected frames as uint8 [h, w, 3] with their times."""
        scaler = VideoReformatter()
        stop = None if self._frames is None else (self._frames - 1) * self._stride + 1
        time = None
        for frame, time in islice(decode_frames(self.source, self._begin), 0, stop, self._stride):
            yield self._geometry.orient_and_crop(self._convert(scaler, frame)), time
        if time is None:
            raise VideoError(
                f"{source_name(self.source)}: has no frame at {float(self._begin):.3f} s or later; "
                "start earlier"
            )

    def _convert(self, scaler: VideoReformatter, frame: VideoFrame) -> np.ndarray:
        """A decoded frame -> full-range RGB, uint8 [H, W, 3], scaled but not rotated."""
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
                f"{source_name(self.source)}: its {frame.format.name} frames can't be converted to "
                f"RGB ({error_reason(error)}); re-encode it, for example to H.264"
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
    """A short clip as one tensor: float32 [1, 3, T, H, W] in [-1, 1]; options as in
    `VideoReader`."""
    with VideoReader(
        source,
        short_side=short_side,
        size=size,
        crop=crop,
        start=start,
        frames=frames,
        stride=stride,
    ) as reader:
        return torch.cat([chunk.video for chunk in reader.chunks(CHUNK_FRAMES)], dim=2)


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
        raise ValueError(f"got frames={frames}; give 1 or more, or None for all")
    if stride < 1:
        raise ValueError(f"got stride={stride}; give 1 for every frame, 2 for every other one")


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
        log.warning("%s: its alpha channel is dropped; only the colours are read", name)
    if info.first.color_trc in HDR:
        log.warning("%s: is HDR and is not tone-mapped; its colours will look pale", name)
    if info.pixel_aspect != 1:
        log.info("%s: pixels of aspect ratio %s are made square", name, info.pixel_aspect)
