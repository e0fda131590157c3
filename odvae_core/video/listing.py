"""Lists clips: the videos and images below a folder, or the rows of a manifest."""

import csv
import hashlib
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path, PurePosixPath
from typing import Any

from ..limits import DEEPEST_FOLDER, LONGEST_CLIP, LONGEST_PATH, MOST_FILES

VIDEOS = {".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".ts", ".webm"}
PICTURES = {".bmp", ".jpeg", ".jpg", ".png", ".webp"}
MANIFESTS = {".csv", ".jsonl"}
NAME_CHARACTERS = 64  # characters of a clip's name in its id
MAX_SHOWN = 100  # characters of an invalid cell in an error


class ListingError(ValueError):
    """Clips can't be listed: the text names the path, the finding and the remedy."""


@dataclass(frozen=True)
class ListedClip:
    """A video, a part of one, or an image; its file has not been opened yet.

    `name` is its path relative to the folder, or as written in the manifest. `start` and `end` are
    seconds since the file's beginning (`end` is excluded; None: the end of the file). `columns`:
    the other columns of the manifest, such as a caption.
    """

    name: str
    file: Path
    start: float = 0.0
    end: float | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """A name without dots that depends only on the clip's name, start and end."""
        key = json.dumps([self.name, self.start, self.end])
        stem = re.sub(r"[^A-Za-z0-9_-]+", "_", PurePosixPath(self.name).stem)[:NAME_CHARACTERS]
        return f"{stem}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"

    @property
    def is_picture(self) -> bool:
        """Whether the file is a single image."""
        return is_picture(self.file)


def is_picture(file: Path) -> bool:
    """Whether a file is a single image, by its suffix."""
    return file.suffix.lower() in PICTURES


def list_clips(path: Path) -> list[ListedClip]:
    """The clips of a folder or of a manifest, in a fixed order.

    Raises `ListingError` if there are none, if a row is invalid, or if a clip is listed twice.
    """
    if path.is_dir():
        clips = list(find_clips(path))
    elif path.suffix.lower() in MANIFESTS and path.is_file():
        clips = list(read_manifest(path))
    else:
        endings = " or ".join(sorted(MANIFESTS))
        raise ListingError(f"{path}: neither a folder nor a manifest ({endings}); check the path")
    if not clips:
        endings = ", ".join(sorted(VIDEOS | PICTURES))
        raise ListingError(f"{path}: lists no video or image; their names end in {endings}")
    seen: set[tuple[str, float, float | None]] = set()
    for clip in clips:
        key = (clip.name, clip.start, clip.end)
        if key in seen:
            raise ListingError(f"{path}: lists {clip.name} twice; remove one of the rows")
        seen.add(key)
    return clips


def find_clips(folder: Path) -> Iterator[ListedClip]:
    """The videos and images of a folder and its subfolders, sorted by name.

    Hidden files, hidden folders and links to folders are ignored. Raises `ListingError` if there
    are more than `MOST_FILES` files, or folders deeper than `DEEPEST_FOLDER`.
    """
    for file in sorted(walk_files(folder), key=Path.as_posix):
        if file.suffix.lower() in VIDEOS | PICTURES and file.is_file():
            yield ListedClip(file.relative_to(folder).as_posix(), file)


def walk_files(folder: Path) -> Iterator[Path]:
    """Every file below a folder that isn't hidden."""
    count = 0
    for path, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files = [name for name in files if not name.startswith(".")]
        count += len(folders) + len(files)
        if count > MOST_FILES:
            raise ListingError(f"{folder}: has more than {MOST_FILES} files; give its subfolders")
        if folders and len(Path(path).relative_to(folder).parts) >= DEEPEST_FOLDER:
            raise ListingError(
                f"{path}: is {DEEPEST_FOLDER} folders deep and has subfolders; list it by itself"
            )
        yield from (Path(path, name) for name in files)


def read_manifest(manifest: Path) -> Iterator[ListedClip]:
    """The rows `path[, start, end, ...]` of a CSV or JSONL file; paths are relative to its folder.

    Empty cells are treated as missing. Raises `ListingError` with the line.
    """
    try:
        lines = StringIO(manifest.read_bytes().decode("utf-8-sig"), newline="")
    except UnicodeDecodeError as error:
        raise ListingError(f"{manifest}: is not UTF-8 ({error}); save it as UTF-8") from error
    read_rows = read_csv_rows if manifest.suffix.lower() == ".csv" else read_jsonl_rows
    for location, row in read_rows(manifest, lines):
        yield read_row(location, row, manifest.parent)


def read_csv_rows(manifest: Path, lines: StringIO) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a CSV file as dicts, each with its location."""
    rows = csv.DictReader(lines, strict=True)
    try:
        if "path" not in (rows.fieldnames or ()):
            raise ListingError(
                f"{manifest}: its first line is {rows.fieldnames}; it must name the columns: path "
                "and optionally start, end and others"
            )
        for row in rows:
            location = f"{manifest}, line {rows.line_num}"
            if None in row:
                raise ListingError(
                    f"{location}: has more fields than the first line, {row[None]}; put fields "
                    "that contain a comma in quotes"
                )
            yield location, {name: cell for name, cell in row.items() if cell}
    except csv.Error as error:
        line = rows.line_num + 1  # the row's first line, also after an unclosed quote
        raise ListingError(f"{manifest}, line {line}: {error}; correct its quotes") from error


def read_jsonl_rows(manifest: Path, lines: StringIO) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a JSONL file, each with its location; empty lines are ignored."""
    for number, line in enumerate(lines, 1):
        text, location = line.strip(), f"{manifest}, line {number}"
        if not text:
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ListingError(
                f"{location}: not JSON ({error}): {text[:MAX_SHOWN]!r}; correct the line"
            ) from error
        if not isinstance(row, dict):
            raise ListingError(f'{location}: got {text[:MAX_SHOWN]!r}; write it as {{"path": ...}}')
        yield location, {name: cell for name, cell in row.items() if cell is not None}


def read_row(location: str, row: dict[str, Any], folder: Path) -> ListedClip:
    """The clip of a row."""
    name = row.pop("path", None)
    if not isinstance(name, str) or not is_valid_path(name):
        raise ListingError(
            f"{location}: got the path {repr(name)[:MAX_SHOWN]}; give a file's path, relative to "
            "the manifest"
        )
    start = read_seconds(location, "start", row.pop("start", 0))
    end = read_seconds(location, "end", row.pop("end")) if "end" in row else None
    if end is not None and end <= start:
        raise ListingError(f"{location}: ends at {end} s but starts at {start} s; give a later end")
    return ListedClip(name, folder / name, start, end, row)


def read_seconds(location: str, column: str, cell: Any) -> float:
    """A time in seconds."""
    try:
        seconds = float(cell)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not 0 <= seconds <= LONGEST_CLIP:
        raise ListingError(
            f"{location}: got the {column} {repr(cell)[:MAX_SHOWN]}; give seconds, 0 to "
            f"{LONGEST_CLIP}"
        )
    return seconds


def is_valid_path(name: str) -> bool:
    """Whether a text can be a file's path: no NUL, and not too long."""
    try:
        return "\0" not in name and 0 < len(os.fsencode(name)) <= LONGEST_PATH
    except UnicodeEncodeError:  # an unpaired surrogate
        return False
