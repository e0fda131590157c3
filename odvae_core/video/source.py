"""Opens media for reading, with errors that name the file, the finding and the remedy."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Stream

from ..limits import largest_picture
from .boxes import check_tables

Source = str | os.PathLike[str] | BytesIO

# Playlists and similar files may refer to other addresses: only local files are opened. A name is
# not a pattern: `img%03d.png` is one image.
LOCAL_ONLY = {"protocol_whitelist": "file", "pattern_type": "none"}
PLAYLISTS = (b"#EXTM3U", b"ffconcat")  # FFmpeg would wait minutes for their parts


class VideoError(Exception):
    """A media file can't be read or written: the text names the file, the finding and the
    remedy."""


def source_name(source: Source) -> str:
    """The source's name for error messages."""
    return "the given stream" if isinstance(source, BytesIO) else os.fspath(source)


def source_bytes(source: Source) -> int:
    """The bytes of a file, or of a clip in memory."""
    if isinstance(source, BytesIO):
        return source.getbuffer().nbytes
    return Path(source).stat().st_size


def limit_pixels(source: Source) -> dict[str, str]:
    """The option with which FFmpeg's decoders reject large pictures before decoding them."""
    return {"max_pixels": str(largest_picture(source_bytes(source)))}


@contextmanager
def open_media(source: Source) -> Iterator[InputContainer]:
    """Open a file, or bytes in memory (with a position of its own), and close it again.

    VideoError: missing, empty, or not a media file.
    """
    if isinstance(source, BytesIO):
        file = BytesIO(source.getvalue())  # shares the bytes
        _check_content(file, source)
        file.seek(0)
    else:
        file = _existing_file(Path(source))
        with _naming_file(source), Path(source).open("rb") as content:
            _check_content(content, source)
    try:
        container = av.open(file, "r", options=LOCAL_ONLY | limit_pixels(source))
    except (FFmpegError, OSError, ValueError) as error:
        raise VideoError(
            f"{source_name(source)}: not a media file that FFmpeg can open "
            f"({error_reason(error)}); check that the download is complete and that the "
            "extension is right"
        ) from error
    with container:
        yield container


def error_reason(error: Exception) -> str:
    """FFmpeg's last log line, if there is one, else the name of the error."""
    log = getattr(error, "log", None)
    return log[2].strip() if log else getattr(error, "strerror", None) or str(error)


def file_start(container: InputContainer) -> Fraction:
    """Seconds at which the earliest audio or video begins, on the file's own clock."""
    starts = [start_of(s) for s in container.streams if s.type in ("audio", "video")]
    return min((start for start in starts if start is not None), default=Fraction(0))


def start_of(stream: Stream) -> Fraction | None:
    """Seconds on the file's own clock at which a stream begins, if the file states it."""
    return None if stream.start_time is None else stream.start_time * tick_of(stream)


def tick_of(stream: Stream) -> Fraction:
    """Seconds of one unit of the stream's timestamps."""
    assert stream.time_base, "every stream that FFmpeg opens has a time base"
    return stream.time_base


def _check_content(content: BinaryIO, source: Source) -> None:
    """Raise `VideoError` if FFmpeg must not open the content."""
    if content.read(16).startswith(PLAYLISTS):
        raise VideoError(
            f"{source_name(source)}: is a playlist; give the video files that it lists"
        )
    try:
        check_tables(content, source_bytes(source))
    except ValueError as error:
        raise VideoError(f"{source_name(source)}: {error}; download or export it again") from error


def _existing_file(path: Path) -> str:
    """The absolute name, which FFmpeg can't mistake for an address, of a file that is not empty."""
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise VideoError(f"{path}: no such file; check the path") from error
    except (OSError, ValueError) as error:
        raise VideoError(
            f"{path}: can't be read ({error_reason(error)}); check the path"
        ) from error
    if stat.S_ISDIR(status.st_mode):
        raise VideoError(f"{path}: is a folder; give a video file in it")
    if not stat.S_ISREG(status.st_mode):
        raise VideoError(f"{path}: is a device or a pipe; give a file")
    if status.st_size == 0:
        raise VideoError(f"{path}: the file is empty (0 bytes); copy or download it again")
    return str(path.absolute())


@contextmanager
def _naming_file(source: Source) -> Iterator[None]:
    """Convert an `OSError` to a `VideoError` that names the file."""
    try:
        yield
    except OSError as error:
        raise VideoError(
            f"{source_name(source)}: can't be read ({error.strerror}); check its permissions"
        ) from error
