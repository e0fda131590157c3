"""The plots of a report: a panel for each quantity, with all runs."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread, imsave
from matplotlib.ticker import LogFormatter, MaxNLocator

from .history import History
from .panels import MARKED, NOISY, PSNR, Line, Panel, find_baselines, find_panels

COLUMNS, PANEL, DPI = 3, (4.6, 2.9), 110
"""Panels in a row; size of a panel in inches; pixels per inch of a PNG."""
GAP = 10
"""Pixels between the figure and the sheets of a PNG."""
PIECES = 20
"""The window of a noisy line's running mean is the line's length divided by this."""
STYLES = ("-", "--", ":", "-.")


def draw_figure(histories: list[History]) -> Figure:
    """All panels with data; without data an empty figure."""
    panels = find_panels(histories)
    rows = max(1, -(-len(panels) // COLUMNS))
    figure = Figure((PANEL[0] * COLUMNS, PANEL[1] * rows), dpi=DPI)
    grid = figure.subplots(rows, COLUMNS, squeeze=False, gridspec_kw={"hspace": 0.35})
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    for axes, panel in zip(grid.flat, panels, strict=False):
        draw_panel(axes, panel)
        if panel.title == PSNR.title:
            draw_baselines(axes, find_baselines(histories))
    return figure


def draw_panel(axes: Axes, panel: Panel) -> None:
    """Draw lines; the colour shows the run, and the line style the quantity.

    With a single run the colour shows the quantity.
    """
    axes.set_title(panel.title, fontsize=9)
    axes.tick_params(labelsize=7, which="both")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.ticklabel_format(useOffset=False)
    axes.grid(alpha=0.3)
    alone = len({line.run for line in panel.lines}) == 1
    for line in panel.lines:
        colour = f"C{line.quantity if alone else line.run}"
        stroke = "-" if alone else STYLES[line.quantity % len(STYLES)]
        if panel.form == NOISY:
            axes.plot(line.x, line.y, color=colour, alpha=0.25, linewidth=0.7)
        x, y = running_mean(line) if panel.form == NOISY else (line.x, line.y)
        marker = "." if panel.form == MARKED else None
        axes.plot(x, y, stroke, color=colour, marker=marker, label=line.label)
    if panel.logarithmic and all(value > 0 for line in panel.lines for value in line.y):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(LogFormatter())
        axes.yaxis.set_minor_formatter(LogFormatter())
    if panel.from_zero:
        axes.set_ylim(bottom=0)
    if any(line.label for line in panel.lines):
        axes.legend(fontsize=6)


def running_mean(line: Line) -> tuple[np.ndarray, np.ndarray]:
    """The running mean of a line, at the middle of each window."""
    width = max(1, len(line.y) // PIECES)
    weights = np.full(width, 1 / width)
    return np.convolve(line.x, weights, "valid"), np.convolve(line.y, weights, "valid")


def draw_baselines(axes: Axes, baselines: dict[str, float]) -> None:
    """Draw a horizontal line for each, with its name."""
    for name, value in baselines.items():
        axes.axhline(value, color="0.5", linestyle=":")
        options = {"xycoords": ("axes fraction", "data"), "verticalalignment": "bottom"}
        axes.annotate(name, (0.02, value), **options, fontsize=6)


def render_svg(figure: Figure) -> bytes:
    """The figure as SVG; the same figure gives the same bytes."""
    file = BytesIO()
    with rc_context({"svg.hashsalt": "odvae"}):
        figure.savefig(file, format="svg", bbox_inches="tight", metadata={"Date": None})
    return file.getvalue()


def render_png(figure: Figure, histories: list[History]) -> bytes:
    """A PNG of the runs' states, the figure, and the last contact sheets, from top to bottom."""
    words = "\n".join(f"{history.name}: {history.describe_state()}" for history in histories)
    top = figure.axes[0].get_position().y1 if figure.axes else 0.5
    figure.text(0.125, top + 0.35 / figure.get_figheight(), words, fontsize=10)
    file = BytesIO()
    figure.savefig(file, format="png", bbox_inches="tight")
    sheets = [history.sheet for history in histories if history.sheet is not None]
    pictures = [imread(source)[..., :3] for source in (BytesIO(file.getvalue()), *sheets)]
    width = max(picture.shape[1] for picture in pictures)
    widened = [
        np.pad(picture, ((0, GAP), (0, width - picture.shape[1]), (0, 0)), constant_values=1)
        for picture in pictures
    ]
    file = BytesIO()
    imsave(file, np.concatenate(widened), format="png")
    return file.getvalue()
