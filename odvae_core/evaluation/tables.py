"""What a summary looks like: lines for a terminal, rows for CSV."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..files.atomic import replacing
from .summary import flatten

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
    "vcpr": ("VCPR", "{:.0f}"),
    "parameters": ("parameters", "{:,}"),
    "frames_per_second": ("frames/s", "{:.1f}"),
    "speed_ratio": ("speed", "{:.2f}x"),
}
"""What a row may hold: its heading and its form."""


def describe(summary: Mapping[str, Any]) -> list[str]:
    """The tables, what was left out, and the protocol."""
    rows = [row | row["mean"] for row in summary["contenders"]]
    shown = [name for name in COLUMNS if any(name in row for row in rows)]
    lines = draw_table(
        ["", *(COLUMNS[name][0] for name in shown)],
        [[row["name"], *(write_figure(row, name) for name in shown)] for row in rows],
    )
    lines += draw_psnr(rows, "short side", [row["sides"] for row in rows])
    positions = [
        {"first" if place == 0 else f"{place}": psnr for place, psnr in enumerate(row["positions"])}
        for row in rows
    ]
    lines += draw_psnr(rows, "place in its group of frames", positions)
    lines += ["", *(describe_candidate(row) for row in rows)]
    if summary["left_out"]:
        lines.append(f"left out: {len(summary['left_out'])} clips")
        lines += [f"  {entry['reason']}" for entry in summary["left_out"]]
    if summary["missing"]:
        lines.append(f"not finished, {len(summary['missing'])} clips are still missing")
    return [*lines, *summary["notes"], f"protocol: {summary['protocol']}"]


def describe_candidate(row: Mapping[str, Any]) -> str:
    """How a row was made, and from which weights."""
    weights = f", sha256 {row['sha256']}" if "sha256" in row else ""
    return f"{row['name']}: {row.get('run', 'no network')}{weights}"


def write_figure(row: Mapping[str, Any], name: str) -> str:
    """One figure of a row; a dash where it has none."""
    return COLUMNS[name][1].format(row[name]) if name in row else "-"


def draw_psnr(
    rows: Sequence[Mapping[str, Any]], of: str, values: Sequence[Mapping[str, float]]
) -> list[str]:
    """PSNR split up, where there is more than one part."""
    if not values or len(values[0]) < 2:
        return []
    cells = [
        [row["name"], *(f"{psnr:.2f}" for psnr in value.values())]
        for row, value in zip(rows, values, strict=True)
    ]
    return ["", f"PSNR dB by {of}", *draw_table(["", *values[0]], cells)]


def draw_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as they need, the first to the left, figures to the right."""
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
            **flatten(row["sides"], row["positions"]),
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
