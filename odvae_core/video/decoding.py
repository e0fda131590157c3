"""The decoder's frames with their times; a clip is never silently shortened."""

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
    file_start,
    limit_pixels,
    name_of,
    open_media,
    reason,
    size_of,
    tick_of,
)
from .timing import Clock, Ending, rate_of, stated_end

log = logging.getLogger(__name__)

START_TOLERANCE = Fraction(1, 2000)  # seconds: a start written as a float finds its frame

Timed = tuple[VideoFrame, Fraction]


@dataclass(frozen=True)
class VideoInfo:
    """What a file says about its picture; frame_count is None where no exact index exists.

    seconds is the length that the container states, None where it states none.
    """

    first: VideoFrame
    rate: Fraction
    frame_count: int | None
    seconds: Fraction | None
    pixel_aspect: Fraction
    has_alpha: bool


def inspect(source: Source) -> VideoInfo:
    """Decode the first frame and read the stream's facts. VideoError: there is no picture."""
    with open_media(source) as container:
        stream = _find_video(container, source)
        first, _ = next(_walk(container, stream, source))
        alpha = any(part.is_alpha for part in first.format.components)
        return VideoInfo(
            first=first,
            rate=rate_of(stream),
            frame_count=_count_frames(container, stream),
            seconds=_measure_length(container),
            pixel_aspect=stream.sample_aspect_ratio or Fraction(1),
            has_alpha=alpha or stream.metadata.get("alpha_mode") == "1",
        )


def decode(source: Source, start: Fraction) -> Iterator[Timed]:
    """Frames from `start` on, each with its seconds since the beginning of the file.

    Times increase strictly. VideoError at the point where the file breaks or ends too early, after
    all that decodes.
    """
    earliest = start - START_TOLERANCE
    seeks = start > 0 and _seek_lands_before(source, earliest)
    with open_media(source) as container:
        stream = _find_video(container, source)
        if seeks:
            _seek(container, stream, earliest)
        for frame, time in _walk(container, stream, source):
            if time >= earliest:
                yield frame, time


def _find_video(container: InputContainer, source: Source) -> VideoStream:
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream):
        kinds = ", ".join(sorted({s.type for s in container.streams})) or "no streams"
        raise VideoError(f"{name_of(source)}: holds no picture (found: {kinds}); give a video file")
    if stream.codec_context is None:
        raise VideoError(f"{name_of(source)}: no decoder for its video; re-encode it, say to H.264")
    _check_stream(stream, source)
    stream.thread_type = "SLICE"  # threads by frame swallow errors, and frames with them
    stream.codec_context.options = limit_pixels(source)
    return stream


def _check_stream(stream: VideoStream, source: Source) -> None:
    """Raise `VideoError` where a stream states what no file of its size is read with."""
    try:
        check_picture(stream.height, stream.width, largest_picture(size_of(source)))
        check_rate(rate_of(stream))
    except ValueError as error:
        raise VideoError(f"{name_of(source)}: states {error}") from error


def _measure_length(container: InputContainer) -> Fraction | None:
    """Seconds that the container states to last."""
    end = stated_end(container)
    return None if end is None else end - Fraction(container.start_time or 0, TIME_BASE)


def _count_frames(container: InputContainer, stream: VideoStream) -> int | None:
    """Frames of the whole clip where the container lists every one of them, else None."""
    entries = stream.index_entries
    if "mp4" not in container.format.name.split(",") or len(entries) != stream.frames:
        return None
    return sum(not entry.is_discard for entry in entries) or None


def _seek(container: InputContainer, stream: VideoStream, time: Fraction) -> None:
    container.seek(int((time + file_start(container)) / tick_of(stream)), stream=stream)


def _seek_lands_before(source: Source, time: Fraction) -> bool:
    """Whether seeking works: some containers can't, some land late, which would lose frames."""
    with open_media(source) as container:
        stream = _find_video(container, source)
        if stream.start_time is None:
            return False  # no timestamps to seek by
        try:
            _seek(container, stream, time)
            _, landed = next(_walk(container, stream, source))
        except (FFmpegError, VideoError):
            return False
        return landed <= time


def _walk(container: InputContainer, stream: VideoStream, source: Source) -> Iterator[Timed]:
    """Every frame from the container's present position to its end, then the check of that end."""
    clock = Clock(stream, file_start(container), name_of(source))
    ending = Ending(container, stream, name_of(source))
    try:
        for packet in container.demux():
            ending.note_packet(packet)
            if packet.stream is not stream:
                continue
            for frame in stream.decode(packet):
                ending.note_frame(frame)
                yield frame, clock.read(frame)
    except FFmpegError as error:
        for frame in _drain(stream):
            yield frame, clock.read(frame)
        raise VideoError(
            f"{name_of(source)}: breaks after {clock.describe()} ({_explain(error, source)}); "
            "download or export it again, or read no further than this"
        ) from error
    ending.check(clock)


def _explain(error: FFmpegError, source: Source) -> str:
    """FFmpeg's reason; of a picture that is too large it only says that an argument is invalid."""
    if error.errno != errno.EINVAL:
        return reason(error)
    most = largest_picture(size_of(source)) / 1e6
    return f"{reason(error)}: a file of its size is read up to {most:.1f} million pixels a picture"


def _drain(stream: VideoStream) -> list[VideoFrame]:
    """Frames that the decoder still held when a packet failed."""
    try:
        return stream.codec_context.decode(None)
    except FFmpegError:
        return []
