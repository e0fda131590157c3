"""From a configuration to a training set: files are listed, matched with patterns, and probed."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from odvae_core.video import ListedClip, ListingError, VideoError, list_clips

from ..config import ConfigError, DataConfig, EvaluationConfig
from ..config_sections import SourceConfig
from .clip_facts import ClipFacts
from .clip_table import ClipTable
from .clips import BrokenClipError, Clip, FileClip, SkippedClip, cache_clip, strip_path
from .held_out import choose_held_out
from .pools import Source, describe_skipped
from .probing import probe_entries
from .training_set import TrainingSet

log = logging.getLogger(__name__)


def load_training_set(
    config: DataConfig,
    seed: int,
    cache_file: Path,
    evaluation: EvaluationConfig | None = None,
) -> TrainingSet:
    """List and probe all clips, and hold some out.

    Those are what `held_out` names, or else clips that `evaluation`, if it is given, can use.
    `cache_file` has the facts of those probed before. Raises ConfigError where a
    value is invalid, or too many clips are unreadable.
    """
    check_data_config(config)
    listed = list_entries(config)
    named = list_held_out(config) if config.held_out else []
    entries = [entry for part in listed for entry in part]
    facts = probe_entries([*entries, *named], cache_file)
    held_out = [entry.file for entry in named]
    if evaluation is not None and not config.held_out:
        readable = {path: fact for path, fact in facts.items() if isinstance(fact, ClipFacts)}
        held_out = choose_held_out(readable, config.held_out_share, evaluation)
        listed = [[entry for entry in part if entry.file not in set(held_out)] for part in listed]
        entries = [entry for part in listed for entry in part]
    if not entries:
        raise ConfigError(f"all clips of {config.path} are held out; make data.held_out narrower")
    sources, broken = open_sources(config, listed, facts)
    if len(broken) > config.broken_limit * len(entries) or len(broken) == len(entries):
        raise ConfigError(
            f"{len(broken)} of {len(entries)} clips can't be read, data.broken_limit is "
            f"{config.broken_limit}: {describe_skipped(broken)}; repair or remove them"
        )
    log.info(
        "%d clips to train on, %d held out, %d can't be read",
        len(entries) - len(broken),
        len(held_out),
        len(broken),
    )
    kept = [open_held_out(path, facts[path]) for path in held_out]
    return TrainingSet(sources, config, seed, broken, hash_entries(entries), kept)


def open_sources(
    config: DataConfig,
    listed: Sequence[Sequence[ListedClip]],
    facts: Mapping[Path, ClipFacts | VideoError],
) -> tuple[list[Source], list[SkippedClip]]:
    """The sources with their readable clips, and the clips that can't be read."""
    sources: list[Source] = []
    broken: list[SkippedClip] = []
    for part, source in zip(listed, config.sources, strict=True):
        clips = [open_clip(entry, facts[entry.file], config) for entry in part]
        broken += [clip for clip in clips if isinstance(clip, SkippedClip)]
        readable = [clip for clip in clips if not isinstance(clip, SkippedClip)]
        table = readable if config.cache else ClipTable(readable, Path(config.path, source.place))
        sources.append(Source(source.weight, table))
    return sources, broken


def open_held_out(path: Path, facts: ClipFacts | VideoError) -> FileClip:
    """The whole of a held-out file. Raises ConfigError where it can't be read."""
    if isinstance(facts, VideoError):
        raise ConfigError(f"a held-out clip can't be read: {facts}; hold out another")
    return FileClip(path.name, path, facts, 0, facts.frames)


def open_clip(
    entry: ListedClip, facts: ClipFacts | VideoError, config: DataConfig
) -> Clip | SkippedClip:
    """The part of a file that an entry names; with `data.cache` it is decoded now."""
    if isinstance(facts, VideoError):
        return SkippedClip(entry.name, strip_path(facts, entry.file))
    first = facts.count_before(entry.start)
    end = facts.frames if entry.end is None else facts.count_before(entry.end)
    if end <= first:
        until = "its end" if entry.end is None else f"{entry.end} s"
        return SkippedClip(entry.name, f"has no frame from {entry.start} s to {until}")
    clip = FileClip(entry.name, entry.file, facts, first, end - first)
    try:
        return cache_clip(clip, config.kept_sides) if config.cache else clip
    except BrokenClipError as error:
        return error.skip


def list_entries(config: DataConfig) -> list[list[ListedClip]]:
    """The clips of each source to train on, in the order of names, without those held out.

    Raises ConfigError where a source is missing or empty, or a pattern matches no clip.
    """
    found = [find_entries(config, source) for source in config.sources]
    check_patterns("data.held_out", config.held_out, [entry for part in found for entry in part])
    selected = []
    for entries, source in zip(found, config.sources, strict=True):
        check_patterns(f"include of the source {source.place!r}", source.include, entries)
        included = [entry for entry in entries if matches_any(entry, source.include)]
        selected.append([entry for entry in included if not matches_any(entry, config.held_out)])
    return selected


def list_held_out(config: DataConfig) -> list[ListedClip]:
    """The clips that `held_out` names, one of each file; `include` doesn't apply to them."""
    found = [entry for source in config.sources for entry in find_entries(config, source)]
    check_patterns("data.held_out", config.held_out, found)
    named = {entry.file: entry for entry in found if matches_any(entry, config.held_out)}
    return list(named.values())


def find_entries(config: DataConfig, source: SourceConfig) -> list[ListedClip]:
    """All clips of a source."""
    path = Path(config.path, source.place)
    try:
        entries = list_clips(path)
    except ListingError as error:
        raise ConfigError(
            f"data.path is {config.path!r}, the place of a source {source.place!r}: {error}"
        ) from error
    unused = sorted({column for entry in entries for column in entry.columns} - {"sha256"})
    if unused:
        log.warning("%s: the columns %s are not used", path, ", ".join(unused))
    return entries


def matches_any(entry: ListedClip, patterns: Iterable[str]) -> bool:
    """Whether a pattern matches the name of an entry, or the last part of it."""
    names = (entry.name, entry.file.name)
    return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)


def check_patterns(key: str, patterns: Sequence[str], entries: Sequence[ListedClip]) -> None:
    """Raise ConfigError for a pattern that matches no clip."""
    for pattern in patterns:
        if not any(matches_any(entry, [pattern]) for entry in entries):
            raise ConfigError(
                f"{key}: {pattern!r} matches none of {len(entries)} clips, of which the first is "
                f"{entries[0].name!r}; correct or remove it"
            )


def hash_entries(entries: Iterable[ListedClip]) -> str:
    """The sha256 of a list: names, sizes in bytes (-1: no such file) and seconds."""
    digest = hashlib.sha256()
    for entry in entries:
        try:
            size = entry.file.stat().st_size
        except OSError:
            size = -1
        digest.update(repr((entry.name, size, entry.start, entry.end)).encode())
    return digest.hexdigest()


def check_data_config(config: DataConfig) -> None:
    """Raise ConfigError for values out of their range."""
    rules = {
        "sources": (len(config.sources) > 0, "one source or more"),
        "sources.weight": (all(s.weight > 0 for s in config.sources), "above 0"),
        "strides": (1 <= config.strides[0] <= config.strides[1], "two strides, 1 or more, rising"),
        "sides": (is_side_range(config.sides), "two short sides, rising; 0 is the clip's own"),
        "rendered": (0 <= config.rendered <= 1, "a part, 0 to 1"),
        "held_out_share": (0 <= config.held_out_share < 1, "a part, 0 to below 1"),
        "broken_limit": (0 <= config.broken_limit <= 1, "a part, 0 to 1"),
        "kept_sides": (min(config.kept_sides, default=0) > 0, "one short side or more, above 0"),
    }
    for key, (holds, rule) in rules.items():
        if not holds:
            value = getattr(config, key.split(".")[0])
            raise ConfigError(f"data.{key} is {value!r}; it is {rule}")


def is_side_range(sides: Sequence[int]) -> bool:
    """Whether two short sides rise, where 0 is the clip's own."""
    smallest, largest = sides
    return min(sides) >= 0 and (largest == 0 or 0 < smallest <= largest)
