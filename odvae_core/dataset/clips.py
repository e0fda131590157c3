"""The clips of a dataset: every video and picture below a folder, or the rows of a manifest."""

import csv
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

VIDEOS = {".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".ts", ".webm"}
PICTURES = {".bmp", ".jpeg", ".jpg", ".png", ".webp"}
MANIFESTS = {".csv", ".jsonl"}
READABLE = 64  # characters of a file's name that its clip's id shows


class DatasetError(ValueError):
    """A dataset of clips or latents that can't be used: the place, what was found, what to do."""


@dataclass(frozen=True)
class Clip:
    """A video, a stretch of one, or a picture.

    `path` is as listed, `start` and `end` are seconds since the file's beginning (`end` is not
    included; None: the file's own), `columns` what else its manifest says of it.
    """

    file: Path
    path: str
    start: float = 0.0
    end: float | None = None
    columns: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """A name without dots: it depends on path and stretch, and on no other clip."""
        key = json.dumps([self.path, self.start, self.end])
        stem = re.sub(r"[^A-Za-z0-9_-]+", "_", PurePosixPath(self.path).stem)[:READABLE]
        return f"{stem}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"

    @property
    def is_picture(self) -> bool:
        return self.file.suffix.lower() in PICTURES


def list_clips(place: Path) -> list[Clip]:
    """The clips of a folder, searched to its depths, or of a manifest, in a fixed order.

    Hidden files and folders are passed over. Raises `DatasetError` where there are none, where a
    row is wrong, or where a clip is listed twice.
    """
    if place.is_dir():
        clips = list(find_clips(place))
    elif place.suffix.lower() in MANIFESTS and place.is_file():
        clips = list(read_manifest(place))
    else:
        raise DatasetError(
            f"{place}: neither a folder nor a manifest ({', '.join(sorted(MANIFESTS))}); "
            "check the path"
        )
    if not clips:
        suffixes = ", ".join(sorted(VIDEOS | PICTURES))
        raise DatasetError(f"{place}: lists no video or picture; they end in {suffixes}")
    seen: set[str] = set()
    for clip in clips:
        if clip.id in seen:
            raise DatasetError(f"{place}: lists {clip.path} twice; take one of the rows away")
        seen.add(clip.id)
    return clips


def find_clips(folder: Path) -> Iterator[Clip]:
    """The videos and pictures below a folder, in the order of their names."""
    names = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    for name, path in sorted(names.items()):
        hidden = any(part.startswith(".") for part in PurePosixPath(name).parts)
        if path.suffix.lower() in VIDEOS | PICTURES and not hidden and path.is_file():
            yield Clip(path, name)


def read_manifest(manifest: Path) -> Iterator[Clip]:
    """The rows `path[, start, end]` of a CSV or JSONL file; paths are relative to the file."""
    read_rows = read_csv if manifest.suffix.lower() == ".csv" else read_json_lines
    line = 0
    try:
        for line, row in read_rows(manifest):  # noqa: B007
            yield read_row(row, manifest.parent)
    except (ValueError, TypeError, csv.Error) as error:
        raise DatasetError(f"{manifest}, line {line}: {error}; correct the row") from error


def read_csv(manifest: Path) -> Iterator[tuple[int, Any]]:
    """Line numbers and rows, by the names in the first line; empty fields are left out."""
    with manifest.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        for row in rows:
            yield rows.line_num, {name: value for name, value in row.items() if value}


def read_json_lines(manifest: Path) -> Iterator[tuple[int, Any]]:
    """Line numbers and objects; empty lines are passed over, a broken one is a string."""
    with manifest.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    yield number, json.loads(line)
                except json.JSONDecodeError:
                    yield number, line.strip()


def read_row(row: Any, folder: Path) -> Clip:
    """The clip of a manifest's row. Raises `ValueError` or `TypeError` where it names none."""
    if isinstance(row, dict) and None in row:
        raise ValueError(f"has more fields than the first line names: {row[None]}")
    if not isinstance(row, dict) or not isinstance(row.get("path"), str):
        raise ValueError(f"got {row!r}, which has no `path`")
    columns = dict(row)
    path = columns.pop("path")
    start, end = float(columns.pop("start", None) or 0), columns.pop("end", None)
    end = None if end is None else float(end)
    if not 0 <= start < (float("inf") if end is None else end):
        raise ValueError(f"got start {start} and end {end}: seconds, start from 0 and before end")
    return Clip(folder / path, path, start, end, columns)
