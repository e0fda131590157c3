"""A plot of metrics over frames, drawn with PIL because ComfyUI doesn't install matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

WIDTH, PANEL = 768, 192
LEFT, RIGHT, TOP, BOTTOM = 72, 16, 28, 24
PAPER, INK, GRID, LINE = (255, 255, 255), (40, 40, 40), (215, 215, 215), (30, 90, 180)


@dataclass(frozen=True)
class Curve:
    """A metric of every frame: its title and its values."""

    title: str
    values: Sequence[float]


def draw_plot(curves: Sequence[Curve]) -> Tensor:
    """The curves in panels below each other: IMAGE [1, H, W, 3]."""
    picture = Image.new("RGB", (WIDTH, PANEL * len(curves)), PAPER)
    draw = ImageDraw.Draw(picture)
    for i, curve in enumerate(curves):
        draw_panel(draw, curve, top=i * PANEL)
    return torch.from_numpy(np.asarray(picture).astype(np.float32) / 255).unsqueeze(0)


def draw_panel(draw: ImageDraw.ImageDraw, curve: Curve, top: int) -> None:
    """Draw one curve with its title, its range on the left and its frames below."""
    low, high = find_range(curve.values)
    box = (LEFT, top + TOP, WIDTH - RIGHT, top + PANEL - BOTTOM)
    mean = sum(curve.values) / max(1, len(curve.values))
    draw.text((LEFT, top + 8), f"{curve.title}, mean {mean:.4g}", fill=INK)
    for part in range(5):
        y = box[3] - part * (box[3] - box[1]) / 4
        draw.line((box[0], y, box[2], y), fill=GRID)
        draw.text((8, y - 6), f"{low + part * (high - low) / 4:.4g}", fill=INK)
    draw.text((box[0], box[3] + 6), "frame 0", fill=INK)
    draw.text((box[2] - 24, box[3] + 6), str(len(curve.values) - 1), fill=INK)
    points = scale_points(curve.values, low, high, box)
    if len(points) > 1:
        draw.line(points, fill=LINE, width=2)
    for x, y in points:
        draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=LINE)


def find_range(values: Sequence[float]) -> tuple[float, float]:
    """The smallest and the largest value; a range of zero is widened to one."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def scale_points(
    values: Sequence[float], low: float, high: float, box: tuple[int, int, int, int]
) -> list[tuple[float, float]]:
    """The pixel position (x, y) of each value in the box (left, top, right, bottom)."""
    step = (box[2] - box[0]) / max(1, len(values) - 1)
    scale = (box[3] - box[1]) / (high - low)
    return [(box[0] + i * step, box[3] - (value - low) * scale) for i, value in enumerate(values)]
