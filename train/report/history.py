"""A run's log as what a report draws: series over steps, the last sheet, where the run stands."""

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
    """The events of one run; `folder` is where its sheets are."""

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
        """The values of one name over the steps; those that weren't finite are left out."""
        found = [event for event in self.select(kind) if event.get(name) is not None]
        return [event["step"] for event in found], [event[name] for event in found]

    @property
    def config(self) -> dict[str, Any]:
        """The configuration of the last start."""
        return self.last("start").get("config", {})

    @property
    def step(self) -> int:
        """The last step that the log knows."""
        return max((event.get("step", 0) for event in self.events), default=0)

    @property
    def sheet(self) -> Path | None:
        """The contact sheet of the last evaluation that drew one, where it is still there."""
        drawn = [event["sheet"] for event in self.select("evaluation") if event.get("sheet")]
        path = self.folder / "sheets" / Path(drawn[-1]).name if drawn else None
        return path if path is not None and path.is_file() else None

    @property
    def skipped_clips(self) -> dict[str, str]:
        """The clips that were left out, and why."""
        return {event["name"]: event["reason"] for event in self.select("clip")}

    @property
    def skip_reasons(self) -> Counter[str]:
        """How often each term made a step be skipped."""
        return Counter(term for event in self.select("skip") for term in event["terms"])

    def describe_state(self) -> str:
        """Where the run stands, in a sentence."""
        if not self.events:
            return "Nothing was logged yet."
        phases = self.config.get("phases")
        place = f"step {self.step}" + (f" of {phases[-1]['until_step']}" if phases else "")
        resumed = sum(event.get("step", 0) > 0 for event in self.select("start"))
        times = f", resumed {resumed}x" if resumed else ""
        end = self.events[-1]
        if end["event"] != "stop":
            return f"At {place}{times}; it runs still, or was interrupted: no stop was logged."
        reason = f" ({end['reason']})" if end.get("reason") else ""
        return f"Stopped at {place}{times}{reason}."


def read_histories(paths: list[Path]) -> list[History]:
    """The runs of folders or logs, each under a name of its own.

    A folder without a log is a run that logged nothing yet. Raises FileNotFoundError where there is
    neither.
    """
    names = [name_run(path) for path in paths]
    return [
        read_history(path, name if names.count(name) == 1 else str(path))
        for path, name in zip(paths, names, strict=True)
    ]


def name_run(path: Path) -> str:
    """A run is called as its folder, unless its log has a name of its own."""
    place = path.resolve()
    if place.is_dir():
        return place.name
    return place.parent.name if place.name == LOG else place.stem


def read_history(path: Path, name: str) -> History:
    """One run, of its folder or its log."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such run; give its folder, or its log")
    log = path / LOG if path.is_dir() else path
    return History(name, log.parent, read_events(log) if log.exists() else [])
