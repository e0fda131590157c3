"""Trackers beside the log: TensorBoard or W&B through accelerate, only where a run asks for them.

check_trackers(names)
accelerator = Accelerator(log_with=list(names), project_dir=folder)
start_trackers(accelerator, name, config)
journal = Journal(path, active, accelerator.log)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from accelerate import Accelerator
from accelerate.tracking import get_available_trackers

from .config import ConfigError
from .journal import flatten


def check_trackers(names: Sequence[str]) -> None:
    """Raise ConfigError on a tracker that isn't installed: accelerate would go on without it."""
    available = {tracker.value for tracker in get_available_trackers()}
    for name in names:
        if name not in available:
            raise ConfigError(
                f"run.trackers has {name!r}, which isn't installed: `pip install {name}`, "
                "or leave it out, for log.jsonl has the same numbers"
            )


def start_trackers(accelerator: Accelerator, name: str, config: Mapping[str, Any]) -> None:
    """Open the accelerator's trackers for a run of this name, with its configuration."""
    accelerator.init_trackers(name, config=flatten(config))
