"""The run's log, and what is to be known about a run before it starts."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .config import Config


class Journal:
    """A JSONL file that only grows: one line an event, flushed at once."""

    def __init__(self, path: Path, active: bool):
        self.path, self.active, self.start = path, active, time.monotonic()

    def write(self, event: str, **values: Any) -> None:
        """Append one event with the seconds since this process began."""
        if not self.active:
            return
        line = {"event": event, "seconds": round(time.monotonic() - self.start, 1), **values}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def current_commit() -> str:
    """The checkout's commit, "unknown" outside of git."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def name_places(config: Config) -> dict[str, Any]:
    """A configuration as plain values, of its paths only the last part: a log may be published."""
    values = asdict(config)
    for section, key in (("data", "path"), ("model", "parent"), ("model", "start"), ("run", "folder")):
        values[section][key] = Path(values[section][key]).name
    return values


def describe(config: Config, network: nn.Module) -> dict[str, Any]:
    """Configuration, commit, versions and size of a run."""
    return {
        "config": name_places(config),
        "commit": current_commit(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "parameters": sum(weight.numel() for weight in network.parameters()),
    }
