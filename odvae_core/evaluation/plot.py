"""The summary as a picture: PSNR of every candidate, over all and by place in the group."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..files.atomic import replacing

INCHES, DOTS = (11.0, 4.5), 120
LINE = 150  # letters of the protocol to a line


def check_plot(path: Path) -> None:
    """Raise `ValueError` where no plot can be written, before any work is done."""
    if path.suffix.lower() != ".png":
        raise ValueError(f"got --plot {path}; plots are PNG: end the name in .png")
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ValueError(
            f"got --plot, but matplotlib can't be imported ({error}): run `pip install matplotlib`"
        ) from error


def draw_plot(summary: Mapping[str, Any], path: Path) -> None:
    """Write the picture."""
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
    lines.set_xlabel("place in the group of four frames (0: the clip's first frame)")
    lines.set_ylabel("PSNR, dB")
    lines.set_xticks(range(max((len(row["positions"]) for row in rows), default=0)))
    lines.legend()
    figure.suptitle("\n".join(textwrap.wrap(summary["protocol"], LINE)), fontsize=7)
    with replacing(path) as aside:
        figure.savefig(aside, dpi=DOTS, format="png")
