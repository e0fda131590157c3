"""Opening media for reading, with errors that name the file, what was found and what to do."""

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

# Playlists and the like may name other addresses: nothing but local files is ever opened. A name
# is no pattern: `img%03d.png` is one picture.
LOCAL_ONLY = {"protocol_whitelist": "file", "pattern_type": "none"}
PLAYLISTS = (b"#EXTM3U", b"ffconcat")  # FFmpeg would wait minutes for parts that it may not fetch


class VideoError(Exception):
    """A media file that cannot be read or written: the text names it, the finding, the remedy."""


def name_of(source: Source) -> str:
    """The source as error messages call it."""
    return "the given stream" if isinstance(source, BytesIO) else os.fspath(source)


def size_of(source: Source) -> int:
    """The bytes of a file, or of a clip in memory."""
    if isinstance(source, BytesIO):
        return source.getbuffer().nbytes
    return Path(source).stat().st_size


def limit_pixels(source: Source) -> dict[str, str]:
    """The option by which FFmpeg's decoders refuse pictures before they are decoded."""
    return {"max_pixels": str(largest_picture(size_of(source)))}


@contextmanager
def open_media(source: Source) -> Iterator[InputContainer]:
    """Open a file, or bytes in memory (with a cursor of our own), and close it again.

    VideoError: missing, empty, or not a media file.
    """
    if isinstance(source, BytesIO):
        file = BytesIO(source.getvalue())  # shares the bytes
        _check_content(file, source)
        file.seek(0)
    else:
        file = _existing_file(Path(source))
        with _naming(source), Path(source).open("rb") as content:
            _check_content(content, source)
    try:
        container = av.open(file, "r", options=LOCAL_ONLY | limit_pixels(source))
    except (FFmpegError, OSError, ValueError) as error:
        raise VideoError(
            f"{name_of(source)}: not a media file that FFmpeg can open ({reason(error)}); "
            "is the download complete, and the extension the right one?"
        ) from error
    with container:
        yield container


def reason(error: Exception) -> str:
    """FFmpeg's own words: its last log line where it left one, else the name of the error."""
    log = getattr(error, "log", None)
    return log[2].strip() if log else getattr(error, "strerror", None) or str(error)


def file_start(container: InputContainer) -> Fraction:
    """Seconds at which the earliest sound or picture begins, on the file's own clock."""
    starts = [start_of(s) for s in container.streams if s.type in ("audio", "video")]
    return min((start for start in starts if start is not None), default=Fraction(0))


def start_of(stream: Stream) -> Fraction | None:
    """Seconds on the file's own clock at which a stream begins, where the file says so."""
    return None if stream.start_time is None else stream.start_time * tick_of(stream)


def tick_of(stream: Stream) -> Fraction:
    """Seconds that one unit of the stream's timestamps lasts."""
    assert stream.time_base, "FFmpeg gives every stream that it opens a time base"
    return stream.time_base


def _check_content(content: BinaryIO, source: Source) -> None:
    """Raise `VideoError` on what FFmpeg mustn't be given."""
    if content.read(16).startswith(PLAYLISTS):
        raise VideoError(f"{name_of(source)}: is a playlist; give the video files that it names")
    try:
        check_tables(content, size_of(source))
    except ValueError as error:
        raise VideoError(f"{name_of(source)}: {error}; download or export it again") from error


def _existing_file(path: Path) -> str:
    """The absolute name, which FFmpeg cannot take for an address, of a file that is not empty."""
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise VideoError(f"{path}: no such file; check the path") from error
    except (OSError, ValueError) as error:
        raise VideoError(f"{path}: can't be read ({reason(error)}); check the path") from error
    if stat.S_ISDIR(status.st_mode):
        raise VideoError(f"{path}: is a folder; give a video file in it")
    if not stat.S_ISREG(status.st_mode):
        raise VideoError(f"{path}: is a device or a pipe; give a file")
    if status.st_size == 0:
        raise VideoError(f"{path}: the file is empty (0 bytes); copy or download it again")
    return str(path.absolute())


@contextmanager
def _naming(source: Source) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise VideoError(
            f"{name_of(source)}: can't be read ({error.strerror}); check its permissions"
        ) from error
