"""What differs between a checkpoint and the run that resumes it, item by item."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from .config import ConfigError

log = logging.getLogger(__name__)

ANOTHER_RUN = (
    "config.run.seed",
    "config.model.preset",
    "config.model.overrides.*",
    "config.model.images",
    "config.optimiser.name",
    "config.discriminator.width",
    "config.discriminator.layers",
    "config.discriminator.norm",
    "config.discriminator.optimiser.name",
)
"""Patterns of values that a resumed run can't change: samples, networks and kinds of optimisers."""

COUNTED = ("skipped", "best")
"""Values of a checkpoint that change with every step."""


def list_changes(saved: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The values that differ, by dotted name: the saved one, None where there was none, and now."""
    before, after = flatten_values(saved), flatten_values(now)
    pairs = {name: [before.get(name), after.get(name)] for name in {**before, **after}}
    return {
        name: pair for name, pair in pairs.items() if pair[0] != pair[1] and name not in COUNTED
    }


def check_same_run(saved: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise ConfigError where a configuration that is resumed would make it another run."""
    for name, (old, new) in list_changes({"config": saved}, {"config": now}).items():
        if any(fnmatchcase(name, pattern) for pattern in ANOTHER_RUN):
            key = name.removeprefix("config.")
            raise ConfigError(
                f"{key} is {new!r}; the checkpoints in run.folder were trained with {old!r}: set "
                f"it to that, or give this run a run.folder of its own"
            )


def warn_of_changes(changes: Mapping[str, list[Any]]) -> None:
    """Log a warning for each change of a resumed run."""
    for name, (old, new) in changes.items():
        log.warning("resumed with another %s: %r, before %r", name, new, old)


def flatten_values(value: Any, prefix: str = "") -> dict[str, Any]:
    """The leaves of nested tables and lists, by dotted name."""
    if isinstance(value, Mapping):
        items = list(value.items())
    elif isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
        items = list(enumerate(value))
    else:
        return {prefix.removesuffix("."): value}
    flat: dict[str, Any] = {}
    for key, item in items:
        flat |= flatten_values(item, f"{prefix}{key}.")
    return flat
