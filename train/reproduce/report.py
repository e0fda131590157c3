"""Results as files: a Markdown page, and all numbers as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from odvae_core.files.atomic import replacing

from ..run_log import replace_non_finite
from .experiment import ExperimentResult, Table


def write_report(page: Path, results: Mapping[str, ExperimentResult], environment: str) -> None:
    """Write a Markdown page into the folder with the figures, and a JSON file beside it."""
    folder = page.parent
    numbers = {"environment": environment, "findings": {}}
    for name, result in results.items():
        figures = [figure.relative_to(folder).as_posix() for figure in result.figures]
        numbers["findings"][name] = {**asdict(result), "figures": figures}
    text = json.dumps(replace_non_finite(numbers), indent=1, allow_nan=False)
    with replacing(page.with_suffix(".json")) as temporary:
        temporary.write_bytes(text.encode())
    parts = [format_result(result, folder) for result in results.values()]
    whole = "\n\n".join(["# Small versions of the papers' experiments", *parts, environment])
    with replacing(page) as temporary:
        temporary.write_bytes(f"{whole}\n".encode())


def format_result(result: ExperimentResult, folder: Path) -> str:
    """A result in Markdown, with a heading."""
    tables = [f"{table.title}:\n\n{format_table(table)}" for table in result.tables]
    figures = [
        f"![{result.title}]({figure.relative_to(folder).as_posix()})" for figure in result.figures
    ]
    checks = "\n".join(
        f"* {'shown' if check.passed else '**not shown**'}: {check.sentence}"
        for check in result.checks
    )
    return "\n\n".join([f"## {result.title}", result.text, *tables, *figures, checks])


def format_table(table: Table) -> str:
    """A table in Markdown."""
    rows = [
        table.header,
        *([format_cell(cell, table.digits) for cell in row] for row in table.rows),
    ]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(table.header) + "|", *lines[1:]])


def format_cell(cell: str | float, digits: int) -> str:
    """A cell as text; floats have `digits` decimals."""
    return f"{cell:.{digits}f}" if isinstance(cell, float) else str(cell)
