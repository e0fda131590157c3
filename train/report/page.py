"""A report as one self-contained HTML page."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from matplotlib.figure import Figure

from ..run_log import flatten_config, select_environment
from .figure import render_svg
from .history import History

STYLE = """\
body { font: 14px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 1600px; padding: 0 1em }
img { max-width: 100% }
table { border-collapse: collapse; margin: 1em 0 }
td, th { border-bottom: 1px solid #ddd; padding: 2px 12px 2px 0; text-align: left }
tr.differs td { background: #fff4d6 }
"""


def write_page(histories: list[History], figure: Figure) -> str:
    """The page: states, plots, contact sheets, skipped steps and clips, settings of the runs."""
    names = [history.name for history in histories]
    title = f"Training: {', '.join(names)}"
    states = [
        f"<p><b>{escape(run.name)}</b>: {escape(run.describe_state())}</p>" for run in histories
    ]
    plots = [embed_picture(render_svg(figure), "svg+xml", "plots")] if figure.axes else []
    body = [
        f"<h1>{escape(title)}</h1>",
        *states,
        *plots,
        *(part for history in histories for part in write_run(history)),
        "<h2>Environment</h2>",
        compare_tables([select_environment(history.last("start")) for history in histories], names),
        "<h2>Configuration</h2>",
        compare_tables([flatten_config(history.config) for history in histories], names),
    ]
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>\n{STYLE}</style>'
    return "\n".join(["<!doctype html>", '<html lang="en">', head, *body, "</html>", ""])


def embed_picture(data: bytes, kind: str, words: str) -> str:
    """An HTML image with its data."""
    return f'<img alt="{escape(words)}" src="data:image/{kind};base64,{b64encode(data).decode()}">'


def write_run(history: History) -> Iterable[str]:
    """One run's last contact sheet, skipped steps and skipped clips."""
    name = escape(history.name)
    if history.sheet is not None:
        yield f"<h2>{name}: held-out clips at {escape(history.sheet.stem)}</h2>"
        yield embed_picture(history.sheet.read_bytes(), "png", "contact sheet")
    if history.skip_reasons:
        yield f"<h2>{name}: skipped steps, by the term that was not finite</h2>"
        yield write_table([("term", "steps"), *history.skip_reasons.items()])
    if history.skipped_clips:
        yield f"<h2>{name}: clips left out</h2>"
        yield write_table([("clip", "reason"), *history.skipped_clips.items()])


def compare_tables(tables: list[dict[str, Any]], names: Sequence[str]) -> str:
    """Several tables side by side; rows in which runs differ are marked."""
    keys = dict.fromkeys(key for table in tables for key in table)
    rows = [(key, *(table.get(key, "") for table in tables)) for key in keys]
    return write_table([("", *names), *rows])


def write_table(rows: Sequence[Sequence[object]]) -> str:
    """An HTML table whose first row is the header."""
    head, *lines = [[escape(str(cell)) for cell in row] for row in rows]
    body = [
        f"<tr{mark_difference(line)}><td>" + "</td><td>".join(line) + "</td></tr>" for line in lines
    ]
    return "\n".join(["<table><tr><th>" + "</th><th>".join(head) + "</th></tr>", *body, "</table>"])


def mark_difference(line: Sequence[str]) -> str:
    """The class attribute of a row in which runs differ."""
    return ' class="differs"' if len(set(line[1:])) > 1 else ""
