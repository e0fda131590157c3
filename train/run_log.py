"""The run's log: written while it trains, read by reports and exports, and sent to trackers.

RUN/log.jsonl has one JSON object a line: `event` (start, step, skip, clip, evaluation, checkpoint,
stop), `seconds` since the process started, `step` in most events, and the event's own values.
"""

from __future__ import annotations

import json
import logging
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.tracking import get_available_trackers
from torch import nn

from train.environment import read_commit

from .config import Config, ConfigError
from .gradients import count_processes, mean_over_processes

log = logging.getLogger(__name__)

Track = Callable[[dict[str, float], int], None]
"""Takes numbers by name and their step, like accelerate's `log`."""

OUTSIDE_PATH = re.compile(r"[/\\~]|\.\.[/\\]|[A-Za-z]:[/\\]")
"""The start of a path that is not below the working directory."""


class RunLog:
    """A JSONL file to which one process appends events, one line each, without buffering.

    `track` gets the numbers of every event as well, named `event/name`.
    """

    def __init__(self, path: Path, active: bool, track: Track | None = None):
        self.path, self.active, self.track = path, active, track
        self.start = time.monotonic()

    def write(self, event: str, **values: Any) -> None:
        """Append one event; numbers that aren't finite become null.

        A file that can't be written gives a warning and doesn't end the run.
        """
        if not self.active:
            return
        seconds = round(time.monotonic() - self.start, 1)
        values = replace_non_finite(values)
        line = json.dumps({"event": event, "seconds": seconds, **values}, allow_nan=False)
        try:
            append_line(self.path, line)
        except OSError as error:
            log.warning("%s can't be written (%s): make room for it", self.path, error)
        if self.track is not None and "step" in values:
            self.track(select_numbers(event, values), values["step"])


class StepMeans:
    """Means of the values of the steps since the last log, over all processes."""

    def __init__(self, device: torch.device):
        self.device = device
        self.values: dict[str, list[float]] = {}

    def add(self, values: Mapping[str, float]) -> None:
        """Add one step's values; every process adds the same names."""
        for name, value in values.items():
            self.values.setdefault(name, []).append(value)

    def take(self) -> dict[str, float]:
        """The means by name; then nothing is left."""
        means = {name: sum(numbers) / len(numbers) for name, numbers in self.values.items()}
        self.values = {}
        if count_processes() == 1:
            return means
        joined = torch.tensor(list(means.values()), dtype=torch.float64, device=self.device)
        return dict(zip(means, mean_over_processes(joined).tolist(), strict=True))


def append_line(path: Path, line: str) -> None:
    """Append a line in one write, after a line break where a killed process left half a line."""
    with path.open("ab+", buffering=0) as file:
        end = file.seek(0, 2)
        file.seek(max(0, end - 1))
        torn = file.read(1) not in (b"", b"\n")
        file.write(b"\n" * torn + line.encode() + b"\n")


def replace_non_finite(value: Any) -> Any:
    """The same value with None for every number that isn't finite, which JSON can't hold."""
    if isinstance(value, dict):
        return {key: replace_non_finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [replace_non_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def select_numbers(event: str, values: dict[str, Any]) -> dict[str, float]:
    """The numbers of an event, which a tracker can plot."""
    numbers = {name: value for name, value in values.items() if type(value) in (int, float)}
    return {f"{event}/{name}": value for name, value in numbers.items() if name != "step"}


def read_events(path: Path) -> list[dict[str, Any]]:
    """The events of a log in order; of steps that a resumed run repeated, the later ones.

    Incomplete lines are skipped with a warning. Raises OSError where the file can't be read.
    """
    events: list[dict[str, Any]] = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        event = parse_line(line)
        if event is None:
            log.warning("%s: line %d is incomplete and was skipped", path, number)
            continue
        if event["event"] == "start":
            first = event.get("step", 0)
            events = [earlier for earlier in events if earlier.get("step", 0) <= first]
        events.append(event)
    return events


def parse_line(line: bytes) -> dict[str, Any] | None:
    """The event of a line, None where it is no event."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def publishable_config(config: Config) -> dict[str, Any]:
    """A configuration as plain values without the machine's folders, since logs are published."""
    return shorten_paths(asdict(config))


def shorten_paths(value: Any) -> Any:
    """The same value; of paths outside the working directory only the last part remains."""
    if isinstance(value, dict):
        return {key: shorten_paths(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [shorten_paths(item) for item in value]
    if isinstance(value, str) and OUTSIDE_PATH.match(value):
        return re.split(r"[/\\]", value.rstrip("/\\"))[-1]
    return value


def describe_run(config: Config, network: nn.Module) -> dict[str, Any]:
    """Configuration, commit, versions and number of parameters of a run."""
    return {
        "config": publishable_config(config),
        "commit": read_commit(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "parameters": sum(weight.numel() for weight in network.parameters()),
    }


def flatten_config(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one table with dotted names; lists become JSON."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten_config(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = json.dumps(value) if isinstance(value, list | tuple) else value
    return flat


def select_environment(start: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a start event besides the configuration: commit, versions, hashes, counts."""
    others = ("event", "seconds", "step", "config")
    return {name: value for name, value in start.items() if name not in others}


def check_trackers(names: Sequence[str]) -> None:
    """Raise ConfigError for a tracker that isn't installed; accelerate would skip it."""
    available = {tracker.value for tracker in get_available_trackers()}
    for name in names:
        if name not in available:
            raise ConfigError(
                f"run.trackers has {name!r}, which isn't installed: `pip install {name}`, "
                "or remove it from run.trackers: log.jsonl has the same numbers"
            )


def start_trackers(accelerator: Accelerator, name: str, config: Mapping[str, Any]) -> None:
    """Start the accelerator's trackers for a run of this name, with its configuration."""
    accelerator.init_trackers(name, config=flatten_config(config))
