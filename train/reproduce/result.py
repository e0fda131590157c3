"""What an experiment reports: a paragraph, tables, figures, and what was to be shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Table:
    """Rows under a header; numbers are written with so many `digits` behind the point."""

    title: str
    header: tuple[str, ...]
    rows: list[tuple[str | float, ...]]
    digits: int = 2


@dataclass(frozen=True)
class Check:
    """A sentence that was to be shown, and whether it was."""

    sentence: str
    passed: bool


@dataclass(frozen=True)
class ExperimentResult:
    """What one experiment has to say: `text` tells what the paper says and what was done."""

    title: str
    text: str
    tables: list[Table]
    figures: list[Path]
    checks: list[Check]
