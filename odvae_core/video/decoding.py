"""Decodes frames with their times; an incomplete file raises an error."""

import errno
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from av import VideoFrame
from av import time_base as TIME_BASE
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from ..limits import check_picture, check_rate, largest_picture
from .source import (
    Source,
    VideoError,
    error_reason,
    file_start,
    limit_pixels,
    open_media,
    source_bytes,
    source_name,
    tick_of,
)
from .timing import EndCheck, FrameClock, rate_of, stated_end_seconds

log = logging.getLogger(__name__)

START_TOLERANCE = Fraction(1, 2000)  # seconds; a start rounded to a float matches its frame

Timed = tuple[VideoFrame, Fraction]


@dataclass(frozen=True)
class VideoInfo:
    """The properties of a file's video stream; frame_count is None without an exact index.

    seconds is the duration that the container states, or None.
    """

    first: VideoFrame
    rate: Fraction
    frame_count: int | None
    seconds: Fraction | None
    pixel_aspect: Fraction
    has_alpha: bool


def read_video_info(source: Source) -> VideoInfo:
    """Decode the first frame and read the stream's properties. VideoError: there is no video."""
    with open_media(source) as container:
        stream = _select_stream(container, source)
        first, _ = next(_decode_stream(container, stream, source))
        alpha = any(part.is_alpha for part in first.format.components)
        return VideoInfo(
            first=first,
            rate=rate_of(stream),
            frame_count=_count_frames(container, stream),
            seconds=_stated_seconds(container),
            pixel_aspect=stream.sample_aspect_ratio or Fraction(1),
            has_alpha=alpha or stream.metadata.get("alpha_mode") == "1",
        )


def decode_frames(source: Source, start: Fraction) -> Iterator[Timed]:
    """Frames from `start` on, each with its seconds since the beginning of the file.

    Times increase strictly. VideoError after the last frame that decodes, if the file is damaged or
    ends too early.
    """
    earliest = start - START_TOLERANCE
    seeks = start > 0 and _seek_lands_before(source, earliest)
    with open_media(source) as container:
        stream = _select_stream(container, source)
        if seeks:
            _seek(container, stream, earliest)
        for frame, time in _decode_stream(container, stream, source):
            if time >= earliest:
                yield frame, time


def _select_stream(container: InputContainer, source: Source) -> VideoStream:
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream):
        kinds = ", ".join(sorted({s.type for s in container.streams})) or "no streams"
        raise VideoError(f"{source_name(source)}: has no video (found: {kinds}); give a video file")
    if stream.codec_context is None:
        raise VideoError(
            f"{source_name(source)}: no decoder for its video; re-encode it, for example to H.264"
        )
    _check_stream(stream, source)
    stream.thread_type = "SLICE"  # frame threads hide errors and drop frames
    stream.codec_context.options = limit_pixels(source)
    return stream


def _check_stream(stream: VideoStream, source: Source) -> None:
    """Raise `VideoError` if the stated size or rate is impossible for a file of this size."""
    try:
        check_picture(stream.height, stream.width, largest_picture(source_bytes(source)))
        check_rate(rate_of(stream))
    except ValueError as error:
        raise VideoError(f"{source_name(source)}: states {error}") from error


def _stated_seconds(container: InputContainer) -> Fraction | None:
    """The duration that the container states."""
    end = stated_end_seconds(container)
    return None if end is None else end - Fraction(container.start_time or 0, TIME_BASE)


def _count_frames(container: InputContainer, stream: VideoStream) -> int | None:
    """The frames of the whole clip if the container lists every one of them, else None."""
    entries = stream.index_entries
    if "mp4" not in container.format.name.split(",") or len(entries) != stream.frames:
        return None
    return sum(not entry.is_discard for entry in entries) or None


def _seek(container: InputContainer, stream: VideoStream, time: Fraction) -> None:
    container.seek(int((time + file_start(container)) / tick_of(stream)), stream=stream)


def _seek_lands_before(source: Source, time: Fraction) -> bool:
    """Whether seeking works: some containers can't, and some land late, which would lose frames."""
    with open_media(source) as container:
        stream = _select_stream(container, source)
        if stream.start_time is None:
            return False  # no timestamps to seek by
        try:
            _seek(container, stream, time)
            _, landed = next(_decode_stream(container, stream, source))
        except (FFmpegError, VideoError):
            return False
        return landed <= time


def _decode_stream(
    container: InputContainer, stream: VideoStream, source: Source
) -> Iterator[Timed]:
    """Every frame from the current position to the end, then a check that the file is complete."""
    clock = FrameClock(stream, file_start(container), source_name(source))
    end_check = EndCheck(container, stream, source_name(source))
    try:
        for packet in container.demux():
            end_check.note_packet(packet)
            if packet.stream is not stream:
                continue
            for frame in stream.decode(packet):
                end_check.note_frame(frame)
                yield frame, clock.time_frame(frame)
    except FFmpegError as error:
        for frame in _drain(stream):
            yield frame, clock.time_frame(frame)
        raise VideoError(
            f"{source_name(source)}: breaks after {clock.describe()} "
            f"({_describe_error(error, source)}); download or export it again, or stop reading "
            "before this time"
        ) from error
    end_check.check_complete(clock)


def _describe_error(error: FFmpegError, source: Source) -> str:
    """FFmpeg's message; for a picture that is too large it only says "invalid argument"."""
    if error.errno != errno.EINVAL:
        return error_reason(error)
    most = largest_picture(source_bytes(source)) / 1e6
    limit = f"a file of its size may have up to {most:.1f} million pixels per picture"
    return f"{error_reason(error)}: {limit}"


def _drain(stream: VideoStream) -> list[VideoFrame]:
    """The frames that the decoder still had when a packet failed."""
    try:
        return stream.codec_context.decode(None)
    except FFmpegError:
        return []
