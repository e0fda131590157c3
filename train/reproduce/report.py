"""Findings as files: a page to read, and every number as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from odvae_core.files.atomic import replacing

from ..journal import replace_infinite
from .finding import Finding, Table


def write_report(page: Path, findings: Mapping[str, Finding], environment: str) -> None:
    """Write a Markdown page into the folder that holds the figures, and its JSON beside it."""
    folder = page.parent
    numbers = {"environment": environment, "findings": {}}
    for name, finding in findings.items():
        figures = [figure.relative_to(folder).as_posix() for figure in finding.figures]
        numbers["findings"][name] = {**asdict(finding), "figures": figures}
    text = json.dumps(replace_infinite(numbers), indent=1, allow_nan=False)
    with replacing(page.with_suffix(".json")) as aside:
        aside.write_bytes(text.encode())
    parts = [describe(finding, folder) for finding in findings.values()]
    whole = "\n\n".join(["# The papers' findings in small", *parts, environment])
    with replacing(page) as aside:
        aside.write_bytes(f"{whole}\n".encode())


def describe(finding: Finding, folder: Path) -> str:
    """A finding in Markdown, under a heading of its own."""
    tables = [f"{table.title}:\n\n{draw_table(table)}" for table in finding.tables]
    figures = [
        f"![{finding.title}]({figure.relative_to(folder).as_posix()})" for figure in finding.figures
    ]
    checks = "\n".join(
        f"* {'shown' if check.passed else '**not shown**'}: {check.sentence}"
        for check in finding.checks
    )
    return "\n\n".join([f"## {finding.title}", finding.text, *tables, *figures, checks])


def draw_table(table: Table) -> str:
    """A table in Markdown."""
    rows = [table.header, *([write_cell(cell, table.digits) for cell in row] for row in table.rows)]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(table.header) + "|", *lines[1:]])


def write_cell(cell: str | float, digits: int) -> str:
    """A text as it is, a whole number without a point, any other with so many digits."""
    return f"{cell:.{digits}f}" if isinstance(cell, float) else str(cell)
