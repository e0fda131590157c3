"""Clips of shapes that move in a straight line: four classes, recognisable at 32x32."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..keyed_random import KeyedRandom

EDGE = 1.0
"""Pixels over which a shape's edge fades."""


def circle(x: Tensor, y: Tensor) -> Tensor:
    return (x.square() + y.square()).sqrt() - 1


def square(x: Tensor, y: Tensor) -> Tensor:
    return torch.maximum(x.abs(), y.abs()) - 0.88


def triangle(x: Tensor, y: Tensor) -> Tensor:
    return torch.maximum(0.866 * x.abs() - 0.5 * y, y) - 0.5


def cross(x: Tensor, y: Tensor) -> Tensor:
    across = torch.maximum(x.abs() - 1, y.abs() - 0.3)
    along = torch.maximum(x.abs() - 0.3, y.abs() - 1)
    return torch.minimum(across, along)


SHAPES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "circle": circle,
    "square": square,
    "triangle": triangle,
    "cross": cross,
}
"""Class -> about the distance from the shape's edge, negative inside, of radius 1."""


def draw_shape_clip(rng: KeyedRandom, label: int, frames: int, size: int) -> Tensor:
    """A clip [3, T, size, size] in [-1, 1]: a bright shape on black, from one place to another."""
    radius = size * rng.uniform(0.2, 0.28)
    ends = [rng.uniform(radius, size - radius) for _ in range(4)]
    time = torch.linspace(0, 1, frames)[:, None, None]
    centre_x = torch.lerp(torch.tensor(ends[0]), torch.tensor(ends[1]), time)
    centre_y = torch.lerp(torch.tensor(ends[2]), torch.tensor(ends[3]), time)
    pixels = torch.arange(size) + 0.5
    x, y = (pixels[None, None] - centre_x) / radius, (pixels[None, :, None] - centre_y) / radius
    distance = list(SHAPES.values())[label](x, y) * radius
    mask = (0.5 - distance / EDGE).clamp(0, 1)
    colour = torch.tensor([rng.uniform(0.5, 1) for _ in range(3)])
    return 2 * colour[:, None, None, None] * mask - 1


def draw_shape_clips(
    key: Sequence[int], count: int, frames: int, size: int
) -> tuple[Tensor, Tensor]:
    """`count` clips [N, 3, T, size, size] and their labels [N], each class in turn.

    They depend only on `key` and their number.
    """
    labels = torch.arange(count) % len(SHAPES)
    clips = [
        draw_shape_clip(KeyedRandom(*key, number), int(label), frames, size)
        for number, label in enumerate(labels)
    ]
    return torch.stack(clips), labels
