"""The run's log, and what is to be known about a run before it starts.

RUN/log.jsonl has one JSON object a line: `event` (start, step, skip, clip, evaluation, checkpoint,
stop), `seconds` since the process began, mostly `step`, and the event's own values.
"""

from __future__ import annotations

import json
import logging
import math
import re
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .config import Config

log = logging.getLogger(__name__)

Track = Callable[[dict[str, float], int], None]
"""Takes numbers by name and the step that they belong to, as accelerate's `log` does."""


FOREIGN = re.compile(r"[/\\~]|\.\.[/\\]|[A-Za-z]:[/\\]")
"""How a path begins that isn't below the folder where the run was started."""


class Journal:
    """A JSONL file that only grows: one line an event, flushed at once, by one process alone.

    `track` gets the numbers of every event too, named `event/name`.
    """

    def __init__(self, path: Path, active: bool, track: Track | None = None):
        self.path, self.active, self.track = path, active, track
        self.start = time.monotonic()

    def write(self, event: str, **values: Any) -> None:
        """Append one event; numbers that aren't finite become null.

        A log that can't be written doesn't end the run: it warns.
        """
        if not self.active:
            return
        seconds = round(time.monotonic() - self.start, 1)
        values = replace_infinite(values)
        line = json.dumps({"event": event, "seconds": seconds, **values}, allow_nan=False)
        try:
            append_line(self.path, line)
        except OSError as error:
            log.warning("%s can't be written (%s): make room for it", self.path, error)
        if self.track is not None and "step" in values:
            self.track(pick_numbers(event, values), values["step"])


def append_line(path: Path, line: str) -> None:
    """Add a line in one write, on a line of its own also where a killed process left half a one."""
    with path.open("ab+", buffering=0) as file:
        end = file.seek(0, 2)
        file.seek(max(0, end - 1))
        torn = file.read(1) not in (b"", b"\n")
        file.write(b"\n" * torn + line.encode() + b"\n")


def replace_infinite(value: Any) -> Any:
    """The same with None for every number that isn't finite: JSON has no word for it."""
    if isinstance(value, dict):
        return {key: replace_infinite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [replace_infinite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def pick_numbers(event: str, values: dict[str, Any]) -> dict[str, float]:
    """What of an event a tracker can plot."""
    numbers = {name: value for name, value in values.items() if type(value) in (int, float)}
    return {f"{event}/{name}": value for name, value in numbers.items() if name != "step"}


def read_events(path: Path) -> list[dict[str, Any]]:
    """The events of a log in their order; steps that a resumed run repeated count once, the later.

    Lines that are torn are left out with a warning. Raises OSError where the file can't be read.
    """
    events: list[dict[str, Any]] = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        event = read_line(line)
        if event is None:
            log.warning("%s: line %d is torn and left out", path, number)
            continue
        if event["event"] == "start":
            first = event.get("step", 0)
            events = [earlier for earlier in events if earlier.get("step", 0) <= first]
        events.append(event)
    return events


def read_line(line: bytes) -> dict[str, Any] | None:
    """The event of a line, None where it holds none."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def current_commit() -> str:
    """The checkout's commit, "unknown" outside of git."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def name_places(config: Config) -> dict[str, Any]:
    """A configuration as plain values that say nothing of the machine: a log may be published."""
    return shorten_paths(asdict(config))


def shorten_paths(value: Any) -> Any:
    """The same with only the last part of paths that start at a root, a drive, a home or above."""
    if isinstance(value, dict):
        return {key: shorten_paths(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [shorten_paths(item) for item in value]
    if isinstance(value, str) and FOREIGN.match(value):
        return re.split(r"[/\\]", value.rstrip("/\\"))[-1]
    return value


def describe(config: Config, network: nn.Module) -> dict[str, Any]:
    """Configuration, commit, versions and size of a run."""
    return {
        "config": name_places(config),
        "commit": current_commit(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "parameters": sum(weight.numel() for weight in network.parameters()),
    }


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one with dotted names; lists become JSON."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = json.dumps(value) if isinstance(value, list | tuple) else value
    return flat


def name_environment(start: Mapping[str, Any]) -> dict[str, Any]:
    """What a start event says besides the configuration: commit, versions, hashes, counts."""
    others = ("event", "seconds", "step", "config")
    return {name: value for name, value in start.items() if name not in others}
