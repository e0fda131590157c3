"""Figures of results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

INCHES, DPI = (6.0, 3.6), 120
LEAST = 2.0


def draw_curves(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    labels: tuple[str, str],
    path: Path,
) -> Path:
    """Draw a line for each named (x, y); `labels` are those of the axes. The path is returned."""
    figure = Figure(INCHES, dpi=DPI)
    axes = figure.subplots()
    for name, (x, y) in curves.items():
        axes.plot(x, y, marker="o", label=name)
    return finish(figure, labels, path)


def draw_points(
    points: Mapping[str, tuple[float, float]], labels: tuple[str, str], path: Path
) -> Path:
    """Draw a marker for each named (x, y); the y axis covers at least `LEAST`."""
    figure = Figure(INCHES, dpi=DPI)
    axes = figure.subplots()
    for name, (x, y) in points.items():
        axes.plot([x], [y], marker="o", markersize=9, linestyle="", label=name)
    low, high = axes.get_ylim()
    room = max(0.0, LEAST - (high - low)) / 2
    axes.set_ylim(low - room, high + room)
    return finish(figure, labels, path)


def finish(figure: Figure, labels: tuple[str, str], path: Path) -> Path:
    """Label the axes and write the file."""
    (axes,) = figure.axes
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, bbox_inches="tight")
    return path
