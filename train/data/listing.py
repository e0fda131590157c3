"""Which files there are to train on, and which are held out."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from odvae_core.video import ListedClip, ListingError, list_clips

from ..config import ConfigError
from ..config_data import DataConfig, SourceConfig

log = logging.getLogger(__name__)


def list_entries(config: DataConfig) -> list[list[ListedClip]]:
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
    return list(dict.fromkeys(entry.file for entry in found if matches(entry, config.held_out)))


def find_entries(config: DataConfig, source: SourceConfig) -> list[ListedClip]:
    """Everything in a source's place."""
    place = Path(config.path, source.place)
    try:
        entries = list_clips(place)
    except ListingError as error:
        raise ConfigError(
            f"data.path is {config.path!r}, the place of a source {source.place!r}: {error}"
        ) from error
    unused = sorted({column for entry in entries for column in entry.columns} - {"sha256"})
    if unused:
        log.warning("%s: the columns %s are not used", place, ", ".join(unused))
    return entries


def matches(entry: ListedClip, patterns: Iterable[str]) -> bool:
    """Whether a pattern fits the name of an entry, or the last part of it."""
    names = (entry.name, entry.file.name)
    return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)


def check_patterns(key: str, patterns: Sequence[str], entries: Sequence[ListedClip]) -> None:
    """Raise ConfigError where a pattern names nothing: it would silently do nothing."""
    for pattern in patterns:
        if not any(matches(entry, [pattern]) for entry in entries):
            raise ConfigError(
                f"{key}: {pattern!r} names none of {len(entries)} clips, of which the first is "
                f"{entries[0].name!r}; correct it or leave it out"
            )


def hash_entries(entries: Iterable[ListedClip]) -> str:
    """The sha256 of a list: names, sizes in bytes (-1: no such file) and seconds."""
    digest = hashlib.sha256()
    for entry in entries:
        size = entry.file.stat().st_size if entry.file.is_file() else -1
        digest.update(repr((entry.name, size, entry.start, entry.end)).encode())
    return digest.hexdigest()
