"""What differs between a checkpoint and the run that resumes it, item by item."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from odvae_core import CheckpointError

from .checkpoint_files import Checkpoint
from .config import ConfigError

log = logging.getLogger(__name__)

ANOTHER_RUN = (
    "run.seed",
    "model.preset",
    "model.overrides.*",
    "model.images",
    "optimiser.name",
    "discriminator.width",
    "discriminator.layers",
    "discriminator.norm",
    "discriminator.optimiser.name",
)
"""Patterns of values that a resumed run can't change: samples, networks and kinds of optimisers."""

COUNTED = ("skipped", "best")
"""Values of a checkpoint that change with every step."""


def list_changes(saved: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The values that differ, by dotted name: the saved one, None where there was none, and now.

    The configuration's names have no prefix.
    """
    before, after = flatten_values(saved), flatten_values(now)
    pairs = {name: [before.get(name), after.get(name)] for name in {**before, **after}}
    return {
        name: pair for name, pair in pairs.items() if pair[0] != pair[1] and name not in COUNTED
    }


def check_same_run(saved: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise ConfigError where a configuration that is resumed would make it another run."""
    for name, (old, new) in list_changes(saved, now).items():
        if any(fnmatchcase(name, pattern) for pattern in ANOTHER_RUN):
            raise ConfigError(
                f"{name} is {new!r}; the checkpoints in run.folder were trained with {old!r}: set "
                f"it to that, or give this run a run.folder of its own"
            )


def warn_of_changes(changes: Mapping[str, list[Any]]) -> None:
    """Log a warning for each change of a resumed run."""
    for name, (old, new) in changes.items():
        log.warning("resumed with another %s: %r, before %r", name, new, old)


def load_part(checkpoint: Checkpoint, name: str, part: Any) -> None:
    """Load one part's state. Raises CheckpointError where it is that of another network."""
    try:
        part.load_state_dict(checkpoint.load(name))
    except RuntimeError as error:
        raise CheckpointError(
            f"{checkpoint.path} holds another network than model.preset and model.overrides "
            "make: resume with the configuration that it was saved with, or give this run a "
            "run.folder of its own"
        ) from error


def flatten_values(value: Any, prefix: str = "") -> dict[str, Any]:
    """The leaves of nested tables and lists, by dotted name."""
    if isinstance(value, Mapping):
        items = list(value.items())
    elif isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
        items = list(enumerate(value))
    else:
        return {prefix.removeprefix("config.").removesuffix("."): value}
    flat: dict[str, Any] = {}
    for key, item in items:
        flat |= flatten_values(item, f"{prefix}{key}.")
    return flat
