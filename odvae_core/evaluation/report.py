"""Output of a summary: text for a terminal, CSV, and a plot of PSNR."""

from __future__ import annotations

import csv
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..files.atomic import replacing
from .summary import name_psnr_columns

COLUMNS = {
    "psnr": ("PSNR dB", "{:.2f}"),
    "ssim": ("SSIM", "{:.4f}"),
    "lpips_alex": ("LPIPS alex", "{:.4f}"),
    "lpips_vgg": ("LPIPS vgg", "{:.4f}"),
    "flicker": ("flicker", "{:.5f}"),
    "border": ("at borders", "{:.5f}"),
    "border_ratio": ("/elsewhere", "{:.2f}"),
    "rfvd": ("rFVD", "{:.1f}"),
    "kvd": ("KVD", "{:.2f}"),
    "inception_score": ("IS", "{:.2f}"),
    "vcpr_paper": ("VCPR", "{:.0f}"),
    "vcpr": ("values", "{:.0f}"),
    "parameters": ("parameters", "{:,}"),
    "frames_per_second": ("frames/s", "{:.1f}"),
    "speed_ratio": ("speed", "{:.2f}x"),
}
"""The columns of a table: heading and format."""


INCHES, DOTS = (11.0, 4.5), 120
LINE = 150  # characters of the protocol per line


def describe_evaluation(summary: Mapping[str, Any]) -> list[str]:
    """The tables, the clips left out and the protocol, as lines of text."""
    rows = [row | row["mean"] for row in summary["contenders"]]
    shown = [name for name in COLUMNS if any(name in row for row in rows)]
    lines = format_table(
        ["", *(COLUMNS[name][0] for name in shown)],
        [[row["name"], *(format_value(row, name) for name in shown)] for row in rows],
    )
    lines += format_psnr_table(rows, "short side", [row["sides"] for row in rows])
    positions = [
        {"first" if i == 0 else str(i): psnr for i, psnr in enumerate(row["positions"])}
        for row in rows
    ]
    lines += format_psnr_table(rows, "position in its group of frames", positions)
    lines += ["", *(describe_candidate(row) for row in rows)]
    if summary["left_out"]:
        lines.append(f"left out: {len(summary['left_out'])} clips")
        lines += [f"  {entry['reason']}" for entry in summary["left_out"]]
    if summary["missing"]:
        lines.append(f"not finished, {len(summary['missing'])} clips are missing")
    return [*lines, *summary["notes"], f"protocol: {summary['protocol']}"]


def describe_candidate(row: Mapping[str, Any]) -> str:
    """How a candidate ran, the sha256 of its weights, and what must be said of it."""
    weights = f", sha256 {row['sha256']}" if "sha256" in row else ""
    note = f"; {row['note']}" if "note" in row else ""
    return f"{row['name']}: {row.get('run', 'no network')}{weights}{note}"


def format_value(row: Mapping[str, Any], name: str) -> str:
    """One value of a row; a dash if it has none."""
    return COLUMNS[name][1].format(row[name]) if name in row else "-"


def format_psnr_table(
    rows: Sequence[Mapping[str, Any]], of: str, values: Sequence[Mapping[str, float]]
) -> list[str]:
    """PSNR by short side or position, if there is more than one."""
    if not values or len(values[0]) < 2:
        return []
    cells = [
        [row["name"], *(f"{psnr:.2f}" for psnr in value.values())]
        for row, value in zip(rows, values, strict=True)
    ]
    return ["", f"PSNR dB by {of}", *format_table(["", *values[0]], cells)]


def format_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns of equal width, the first aligned left, the others right."""
    columns = list(zip(headings, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    return [
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (headings, *rows)
    ]


def write_csv(summary: Mapping[str, Any], path: Path) -> None:
    """One row for each clip and candidate, and one for each candidate's means, clip `mean`."""
    means = [
        {
            "clip": "mean",
            "contender": row["name"],
            **row["mean"],
            **name_psnr_columns(row["sides"], row["positions"]),
            **{name: row[name] for name in (*COLUMNS, "sha256", "run") if name in row},
        }
        for row in summary["contenders"]
    ]
    rows = [row | {"protocol": summary["protocol"]} for row in [*summary["clips"], *means]]
    fields = list(dict.fromkeys(name for row in rows for name in row if name != "protocol"))
    with replacing(path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*fields, "protocol"])
        writer.writeheader()
        writer.writerows(rows)


def check_plot(path: Path) -> None:
    """Raise `ValueError` before any work if no plot can be written."""
    if path.suffix.lower() != ".png":
        raise ValueError(f"got --plot {path}; plots are PNG: end the name in .png")
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"got --plot, but matplotlib can't be imported ({error}): run `pip install matplotlib`"
        ) from error


def draw_plot(summary: Mapping[str, Any], path: Path) -> None:
    """Write a plot of PSNR: of every candidate over all frames, and by position in the group."""
    from matplotlib.figure import Figure

    rows = summary["contenders"]
    figure = Figure(figsize=INCHES, layout="constrained")
    bars, lines = figure.subplots(1, 2)
    for row in rows:
        (bar,) = bars.bar(row["name"], row["mean"]["psnr"])
        bars.bar_label(bars.containers[-1], fmt="%.2f")
        lines.plot(row["positions"], "o-", label=row["name"], color=bar.get_facecolor())
    bars.set_ylabel("PSNR, dB")
    bars.tick_params(axis="x", rotation=20)
    lines.set_xlabel("position in the group of four frames (0: the clip's first frame)")
    lines.set_ylabel("PSNR, dB")
    lines.set_xticks(range(max((len(row["positions"]) for row in rows), default=0)))
    lines.legend()
    figure.suptitle("\n".join(textwrap.wrap(summary["protocol"], LINE)), fontsize=7)
    with replacing(path) as aside:
        figure.savefig(aside, dpi=DOTS, format="png")
