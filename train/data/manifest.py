"""Lists of clips: a CSV file with a heading, or JSONL, of the columns path, start, end, sha256."""

from __future__ import annotations

import csv
import json
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import ConfigError

log = logging.getLogger(__name__)

SUFFIXES = {".csv", ".jsonl"}
COLUMNS = ("path", "start", "end", "sha256")


@dataclass(frozen=True)
class Entry:
    """A file that a source names, and what of it: seconds from `start` up to `end`.

    `name`, relative to the source's place, is what patterns are held against. `sha256` "" is not
    checked.
    """

    name: str
    path: Path
    start: float = 0.0
    end: float | None = None
    sha256: str = ""


def read_manifest(file: Path) -> list[Entry]:
    """The entries of a list; their paths are relative to its folder, empty cells are not given.

    Raises ConfigError, with the line, on a row that can't be understood.
    """
    read = read_json_lines if file.suffix.lower() == ".jsonl" else read_table
    rows = list(read(file))
    unused = sorted({str(name) for _, row in rows for name in row} - set(COLUMNS))
    if unused:
        log.warning("%s: the columns %s are not used", file, ", ".join(unused))
    return [read_row(row, f"{file}, line {line}", file.parent) for line, row in rows]


def read_table(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a CSV file under its heading, with their lines."""
    with file.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.DictReader(lines)
        if "path" not in (rows.fieldnames or ()):
            raise ConfigError(
                f"{file}: its first line is {rows.fieldnames}; it names the columns, path and, "
                f"where wanted, {', '.join(COLUMNS[1:])}"
            )
        for row in rows:
            yield (
                rows.line_num,
                {name: cell for name, cell in row.items() if cell not in ("", None)},
            )


def read_json_lines(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSONL file, with their lines."""
    for line, text in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(f"{file}, line {line}: no JSON ({error}); mend the line") from None
        if not isinstance(row, dict):
            raise ConfigError(f'{file}, line {line}: got {text!r}; a line is {{"path": ...}}')
        yield line, {name: cell for name, cell in row.items() if cell is not None}


def read_row(row: dict[str, Any], where: str, folder: Path) -> Entry:
    """One row as an entry."""
    name = row.get("path")
    if not isinstance(name, str):
        raise ConfigError(f"{where}: got the path {name!r}; name a file, relative to the list")
    start, end = read_seconds(row, "start", where), read_seconds(row, "end", where)
    if end is not None and end <= (start or 0):
        raise ConfigError(f"{where}: ends at {end} s and starts at {start or 0} s; end it later")
    digest = str(row.get("sha256", "")).lower()
    return Entry(name, folder / name, start or 0.0, end, digest)


def read_seconds(row: dict[str, Any], column: str, where: str) -> float | None:
    """A time in seconds, None where the row gives none."""
    if column not in row:
        return None
    try:
        seconds = float(row[column])
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise ConfigError(f"{where}: got the {column} {row[column]!r}; it is seconds, 0 or more")
    return seconds
