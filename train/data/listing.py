"""Which files there are to train on, and which are held out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from ..config import ConfigError
from ..config_data import DataConfig, SourceConfig
from .manifest import SUFFIXES as LISTS
from .manifest import Entry, read_manifest

VIDEOS = {".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".ts", ".webm"}
PICTURES = {".bmp", ".jpeg", ".jpg", ".png", ".webp"}


def list_entries(config: DataConfig) -> list[list[Entry]]:
    """What each source gives to train on, in the order of names: held-out clips are not in it.

    Raises ConfigError where a place is missing or empty, or a pattern names nothing.
    """
    found = [find_entries(config, source) for source in config.sources]
    check_patterns("data.held_out", config.held_out, [entry for part in found for entry in part])
    kept = []
    for entries, source in zip(found, config.sources, strict=True):
        check_patterns(f"include of the source {source.place!r}", source.include, entries)
        wanted = [entry for entry in entries if matches(entry, source.include)]
        kept.append([entry for entry in wanted if not matches(entry, config.held_out)])
    return kept


def list_held_out(config: DataConfig) -> list[Path]:
    """The files that are never trained on, whatever `include` says, in the order of names."""
    found = [entry for source in config.sources for entry in find_entries(config, source)]
    check_patterns("data.held_out", config.held_out, found)
    return list(dict.fromkeys(entry.path for entry in found if matches(entry, config.held_out)))


def find_entries(config: DataConfig, source: SourceConfig) -> list[Entry]:
    """Everything in a source's place."""
    place = Path(config.path, source.place)
    if place.is_file() and place.suffix.lower() in LISTS:
        entries = read_manifest(place)
    elif place.is_dir():
        entries = walk(place)
    else:
        raise ConfigError(
            f"{place} is no folder and no .csv or .jsonl list; set data.path, or the place of "
            "the source, to one"
        )
    if not entries:
        endings = ", ".join(sorted(VIDEOS | PICTURES))
        raise ConfigError(f"{place} has nothing to train on; clips end in {endings}")
    return entries


def walk(folder: Path) -> list[Entry]:
    """The videos and pictures in a folder and those below; hidden files and folders are left."""
    files = [path.relative_to(folder) for path in folder.rglob("*") if is_media(path)]
    shown = sorted(file for file in files if not any(part[0] == "." for part in file.parts))
    return [Entry(file.as_posix(), folder / file) for file in shown]


def is_media(path: Path) -> bool:
    """Whether a file's ending says that it is a video or a picture."""
    return path.suffix.lower() in VIDEOS | PICTURES and path.is_file()


def is_picture(path: Path) -> bool:
    """Whether a file's ending says that it is a single picture."""
    return path.suffix.lower() in PICTURES


def matches(entry: Entry, patterns: Iterable[str]) -> bool:
    """Whether a pattern fits the name of an entry, or the last part of it."""
    names = (entry.name, entry.path.name)
    return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)


def check_patterns(key: str, patterns: Sequence[str], entries: Sequence[Entry]) -> None:
    """Raise ConfigError where a pattern names nothing: it would silently do nothing."""
    for pattern in patterns:
        if not any(matches(entry, [pattern]) for entry in entries):
            raise ConfigError(
                f"{key}: {pattern!r} names none of {len(entries)} clips, of which the first is "
                f"{entries[0].name!r}; correct it or leave it out"
            )


def hash_entries(entries: Iterable[Entry]) -> str:
    """The sha256 of a list: names, sizes in bytes (-1: no such file) and seconds."""
    digest = hashlib.sha256()
    for entry in entries:
        size = entry.path.stat().st_size if entry.path.is_file() else -1
        digest.update(repr((entry.name, size, entry.start, entry.end)).encode())
    return digest.hexdigest()
