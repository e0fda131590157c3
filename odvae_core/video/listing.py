"""Which clips there are: the videos and pictures below a folder, or the rows of a manifest."""

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
READABLE = 64  # characters of a clip's name that its id shows
SHOWN = 100  # characters of a bad cell that an error shows


class ListingError(ValueError):
    """A place that lists no clips as it should: the place, what was found, what to do."""


@dataclass(frozen=True)
class ListedClip:
    """A video, a stretch of one, or a picture; nobody has looked into its file yet.

    `name` is its place below the folder, or its path as the manifest has it. `start` and `end` are
    seconds since the file's beginning (`end` is not included; None: the file's own). `columns`:
    what else the manifest says of it, such as a caption.
    """

    name: str
    file: Path
    start: float = 0.0
    end: float | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """A name without dots: it depends on name and stretch, and on no other clip."""
        key = json.dumps([self.name, self.start, self.end])
        stem = re.sub(r"[^A-Za-z0-9_-]+", "_", PurePosixPath(self.name).stem)[:READABLE]
        return f"{stem}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"

    @property
    def is_picture(self) -> bool:
        return is_picture(self.file)


def is_picture(file: Path) -> bool:
    """Tell by its ending whether a file is a single picture."""
    return file.suffix.lower() in PICTURES


def list_clips(place: Path) -> list[ListedClip]:
    """The clips of a folder or of a manifest, in a fixed order.

    Raises `ListingError` where there are none, where a row is wrong, or where a clip is listed
    twice.
    """
    if place.is_dir():
        clips = list(find_clips(place))
    elif place.suffix.lower() in MANIFESTS and place.is_file():
        clips = list(read_manifest(place))
    else:
        endings = " or ".join(sorted(MANIFESTS))
        raise ListingError(f"{place}: neither a folder nor a manifest ({endings}); check the path")
    if not clips:
        endings = ", ".join(sorted(VIDEOS | PICTURES))
        raise ListingError(f"{place}: lists no video or picture; they end in {endings}")
    seen: set[str] = set()
    for clip in clips:
        if clip.id in seen:
            raise ListingError(f"{place}: lists {clip.name} twice; take one of the rows away")
        seen.add(clip.id)
    return clips


def find_clips(folder: Path) -> Iterator[ListedClip]:
    """The videos and pictures of a folder and of those in it, in the order of their names.

    Hidden files and folders are passed over, and links to folders. Raises `ListingError` where
    there are more than `MOST_FILES`, or folders deeper than `DEEPEST_FOLDER`.
    """
    for file in sorted(walk(folder), key=Path.as_posix):
        if file.suffix.lower() in VIDEOS | PICTURES and file.is_file():
            yield ListedClip(file.relative_to(folder).as_posix(), file)


def walk(folder: Path) -> Iterator[Path]:
    """Every file below a folder that isn't hidden."""
    count = 0
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files = [name for name in files if not name.startswith(".")]
        count += len(folders) + len(files)
        if count > MOST_FILES:
            raise ListingError(f"{folder}: holds more than {MOST_FILES} files; give its subfolders")
        if folders and len(Path(place).relative_to(folder).parts) >= DEEPEST_FOLDER:
            raise ListingError(
                f"{place}: lies {DEEPEST_FOLDER} folders deep and holds more; give it by itself"
            )
        yield from (Path(place, name) for name in files)


def read_manifest(manifest: Path) -> Iterator[ListedClip]:
    """The rows `path[, start, end, ...]` of a CSV or JSONL file; paths are relative to its folder.

    What a row leaves empty, it doesn't give. Raises `ListingError`, with the line.
    """
    try:
        lines = StringIO(manifest.read_bytes().decode("utf-8-sig"), newline="")
    except UnicodeDecodeError as error:
        raise ListingError(f"{manifest}: is not UTF-8 ({error}); save it as UTF-8") from error
    read_rows = read_table if manifest.suffix.lower() == ".csv" else read_json_lines
    for where, row in read_rows(manifest, lines):
        yield read_row(where, row, manifest.parent)


def read_table(manifest: Path, lines: StringIO) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of CSV by the names in the first line, and where each stands."""
    rows = csv.DictReader(lines, strict=True)
    try:
        if "path" not in (rows.fieldnames or ()):
            raise ListingError(
                f"{manifest}: its first line is {rows.fieldnames}; it names the columns: path and, "
                "where wanted, start, end and others"
            )
        for row in rows:
            where = f"{manifest}, line {rows.line_num}"
            if None in row:
                raise ListingError(
                    f"{where}: has more fields than the first line names, {row[None]}; put what "
                    "has a comma between quotes"
                )
            yield where, {name: cell for name, cell in row.items() if cell}
    except csv.Error as error:
        line = rows.line_num + 1  # where the row begins, whatever a quote left open swallowed
        raise ListingError(f"{manifest}, line {line}: {error}; mend its quotes") from error


def read_json_lines(manifest: Path, lines: StringIO) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of JSONL, and where each stands; empty lines are passed over."""
    for number, line in enumerate(lines, 1):
        text, where = line.strip(), f"{manifest}, line {number}"
        if not text:
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ListingError(
                f"{where}: no JSON ({error}): {text[:SHOWN]!r}; mend the line"
            ) from error
        if not isinstance(row, dict):
            raise ListingError(f'{where}: got {text[:SHOWN]!r}; write it as {{"path": ...}}')
        yield where, {name: cell for name, cell in row.items() if cell is not None}


def read_row(where: str, row: dict[str, Any], folder: Path) -> ListedClip:
    """The clip of a row."""
    name = row.pop("path", None)
    if not isinstance(name, str) or not is_name(name):
        raise ListingError(
            f"{where}: got the path {repr(name)[:SHOWN]}; name a file, relative to the manifest"
        )
    start = read_seconds(where, "start", row.pop("start", 0))
    end = read_seconds(where, "end", row.pop("end")) if "end" in row else None
    if end is not None and end <= start:
        raise ListingError(f"{where}: ends at {end} s and starts at {start} s; end it later")
    return ListedClip(name, folder / name, start, end, row)


def read_seconds(where: str, column: str, cell: Any) -> float:
    """A time in seconds."""
    try:
        seconds = float(cell)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not 0 <= seconds <= LONGEST_CLIP:
        raise ListingError(
            f"{where}: got the {column} {repr(cell)[:SHOWN]}; it is seconds, 0 to {LONGEST_CLIP}"
        )
    return seconds


def is_name(name: str) -> bool:
    """Whether a text can be a file's path: systems take no NUL and no endless ones."""
    try:
        return "\0" not in name and 0 < len(os.fsencode(name)) <= LONGEST_PATH
    except UnicodeEncodeError:  # half of a pair of surrogates
        return False
