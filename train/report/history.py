"""A run's log for a report: series over steps, the last contact sheet, the state of the run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..run_log import read_events

LOG = "log.jsonl"

Series = tuple[list[int], list[float]]
"""Steps, and a value at each."""


@dataclass(frozen=True)
class History:
    """The events of one run; its contact sheets are in `folder`."""

    name: str
    folder: Path
    events: list[dict[str, Any]]

    def select(self, kind: str) -> list[dict[str, Any]]:
        """The events of one kind."""
        return [event for event in self.events if event["event"] == kind]

    def last(self, kind: str) -> dict[str, Any]:
        """The last event of a kind, {} where there was none."""
        return (self.select(kind) or [{}])[-1]

    def series(self, kind: str, name: str) -> Series:
        """The values of one name over the steps, without those that weren't finite."""
        found = [event for event in self.select(kind) if event.get(name) is not None]
        return [event["step"] for event in found], [event[name] for event in found]

    @property
    def config(self) -> dict[str, Any]:
        """The configuration of the last start."""
        return self.last("start").get("config", {})

    @property
    def step(self) -> int:
        """The last step in the log."""
        return max((event.get("step", 0) for event in self.events), default=0)

    @property
    def sheet(self) -> Path | None:
        """The last contact sheet that was drawn, None where there is no such file."""
        drawn = [event["sheet"] for event in self.select("evaluation") if event.get("sheet")]
        path = self.folder / "sheets" / Path(drawn[-1]).name if drawn else None
        return path if path is not None and path.is_file() else None

    @property
    def skipped_clips(self) -> dict[str, str]:
        """The skipped clips, with the reasons."""
        return {event["name"]: event["reason"] for event in self.select("clip")}

    @property
    def skip_reasons(self) -> Counter[str]:
        """The number of skipped steps by the term that was not finite."""
        return Counter(term for event in self.select("skip") for term in event["terms"])

    def describe_state(self) -> str:
        """The state of the run in a sentence."""
        if not self.events:
            return "Nothing was logged yet."
        phases = self.config.get("phases")
        position = f"step {self.step}" + (f" of {phases[-1]['until_step']}" if phases else "")
        resumed = sum(event.get("step", 0) > 0 for event in self.select("start"))
        times = f", resumed {resumed}x" if resumed else ""
        end = self.events[-1]
        if end["event"] != "stop":
            state = "it is still running, or was interrupted: no stop was logged"
            return f"At {position}{times}; {state}."
        reason = f" ({end['reason']})" if end.get("reason") else ""
        return f"Stopped at {position}{times}{reason}."


def read_histories(paths: list[Path]) -> list[History]:
    """The histories of run folders or logs, with different names.

    A folder without a log is a run that has logged nothing yet. Raises FileNotFoundError where a
    path doesn't exist.
    """
    names = [name_run(path) for path in paths]
    return [
        read_history(path, name if names.count(name) == 1 else str(path))
        for path, name in zip(paths, names, strict=True)
    ]


def name_run(path: Path) -> str:
    """The name of a run's folder, or of its log if that isn't called log.jsonl."""
    resolved = path.resolve()
    if resolved.is_dir():
        return resolved.name
    return resolved.parent.name if resolved.name == LOG else resolved.stem


def read_history(path: Path, name: str) -> History:
    """The history of a run folder or a log."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such run; give its folder, or its log")
    log = path / LOG if path.is_dir() else path
    return History(name, log.parent, read_events(log) if log.exists() else [])
