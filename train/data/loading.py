"""From the configuration to samples: files are listed, probed, and those in use opened."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from odvae_core.video import ListedClip, VideoError

from ..config import ConfigError
from ..config_data import DataConfig
from .clips import BrokenClipError, Clip, FiledClip, Skip, explain, keep_clip
from .facts import Facts
from .listing import hash_entries, list_entries
from .pools import Source, describe
from .probing import probe_entries
from .samples import Samples

log = logging.getLogger(__name__)


def load_samples(config: DataConfig, seed: int, memory: Path) -> Samples:
    """Find all clips and look at each; `memory` is a JSON file that spares the next start that.

    Raises ConfigError: the configuration can't be met, or too many clips are unreadable.
    """
    check_config(config)
    listed = list_entries(config)
    entries = [entry for part in listed for entry in part]
    if not entries:
        raise ConfigError(f"all clips of {config.path} are held out; make data.held_out narrower")
    facts = probe_entries(entries, memory)
    broken: list[Skip] = []
    sources = []
    for part, source in zip(listed, config.sources, strict=True):
        clips = [open_clip(entry, facts[entry.file], config) for entry in part]
        broken += [clip for clip in clips if isinstance(clip, Skip)]
        sources.append(Source(source.weight, [c for c in clips if not isinstance(c, Skip)]))
    if len(broken) > config.broken_limit * len(entries) or len(broken) == len(entries):
        raise ConfigError(
            f"{len(broken)} of {len(entries)} clips can't be read, data.broken_limit is "
            f"{config.broken_limit}: {describe(broken)}; mend or remove them"
        )
    log.info("%d clips to train on, %d can't be read", len(entries) - len(broken), len(broken))
    return Samples(sources, config, seed, broken, hash_entries(entries))


def open_clip(entry: ListedClip, facts: Facts | VideoError, config: DataConfig) -> Clip | Skip:
    """The part of a file that an entry means, decoded where the configuration keeps clips."""
    if isinstance(facts, VideoError):
        return Skip(entry.name, explain(facts, entry.file))
    first = facts.count_before(entry.start)
    end = facts.frames if entry.end is None else facts.count_before(entry.end)
    if end <= first:
        until = "its end" if entry.end is None else f"{entry.end} s"
        return Skip(entry.name, f"has no frame from {entry.start} s to {until}")
    clip = FiledClip(entry.name, entry.file, facts, first, end - first)
    try:
        return keep_clip(clip, config.kept_sides) if config.cache else clip
    except BrokenClipError as error:
        return error.skip


def check_config(config: DataConfig) -> None:
    """Raise ConfigError on numbers that mean nothing."""
    rules = {
        "sources": (len(config.sources) > 0, "one source or more"),
        "sources.weight": (all(s.weight > 0 for s in config.sources), "above 0"),
        "strides": (1 <= config.strides[0] <= config.strides[1], "two strides, 1 or more, rising"),
        "sides": (is_range(config.sides), "two short sides, rising; 0 is the clip's own"),
        "rendered": (0 <= config.rendered <= 1, "a part, 0 to 1"),
        "broken_limit": (0 <= config.broken_limit <= 1, "a part, 0 to 1"),
        "kept_sides": (min(config.kept_sides, default=0) > 0, "one short side or more, above 0"),
    }
    for key, (holds, rule) in rules.items():
        if not holds:
            value = getattr(config, key.split(".")[0])
            raise ConfigError(f"data.{key} is {value!r}; it is {rule}")


def is_range(sides: Sequence[int]) -> bool:
    """Whether two short sides rise, 0 being the largest that a clip has."""
    smallest, largest = sides
    return min(sides) >= 0 and (largest == 0 or 0 < smallest <= largest)
