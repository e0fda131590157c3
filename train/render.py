"""Rendered motion: textured planes that pan, zoom and turn over one another."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from .dice import Dice
from .textures import draw_mask, draw_texture

Still = Callable[[Dice, int], Tensor]
"""Draws a square picture, (dice, size) -> [3, size, size] in [0, 1]."""


def draw_path(dice: Dice, frames: int, size: int, scale: float) -> Tensor:
    """Affine maps from the picture to a plane's texture, [T, 2, 3]: pan, zoom and rotation.

    `scale` is the part of the texture that the picture shows; speeds are up to 6 pixels a frame.
    """
    time = torch.arange(frames) - frames / 2
    still = dice.chance(0.15)
    speed = 0.0 if still else dice.log_uniform(0.05, 6.0) * 2 / size
    heading = dice.uniform(0, 2 * math.pi)
    bend = 0.0 if still else dice.uniform(-0.02, 0.02)
    turn = dice.uniform(-0.03, 0.03) if dice.chance(0.4) and not still else 0.0
    growth = dice.uniform(-0.02, 0.02) if dice.chance(0.4) and not still else 0.0
    angle = dice.uniform(-0.3, 0.3) + turn * time
    zoom = scale * torch.exp(growth * time)
    direction = heading + bend * time
    x = dice.uniform(-0.3, 0.3) + scale * speed * time * torch.cos(direction)
    y = dice.uniform(-0.3, 0.3) + scale * speed * time * torch.sin(direction)
    cos, sin = zoom * torch.cos(angle), zoom * torch.sin(angle)
    return torch.stack([torch.stack([cos, -sin, x], 1), torch.stack([sin, cos, y], 1)], 1)


def move(texture: Tensor, path: Tensor, size: int, padding: str) -> Tensor:
    """A texture [C, S, S] seen along a path [T, 2, 3] -> [T, C, size, size]."""
    frames, channels = len(path), len(texture)
    grid = F.affine_grid(path, [frames, channels, size, size], align_corners=False)
    planes = texture.expand(frames, -1, -1, -1)
    return F.grid_sample(planes, grid, padding_mode=padding, align_corners=False)


def draw_layer(dice: Dice, frames: int, size: int, still: Still) -> tuple[Tensor, Tensor]:
    """A moving patch: its colours [T, 3, size, size] and its cover [T, 1, size, size]."""
    texture = still(dice, size) if dice.chance(0.3) else draw_texture(dice, size)
    plane = torch.cat([texture, draw_mask(dice, size)])
    moved = move(plane, draw_path(dice, frames, size, dice.log_uniform(0.8, 4.0)), size, "zeros")
    return moved[:, :3], moved[:, 3:]


def change_light(dice: Dice, video: Tensor) -> Tensor:
    """Brightness that drifts or jumps over the clip [T, 3, H, W]."""
    time = torch.linspace(0, 1, len(video))
    if dice.chance(0.5):
        gain = 1 + dice.uniform(-0.5, 0.5) * time
    else:
        gain = torch.where(time < dice.uniform(0.2, 0.8), 1.0, dice.uniform(0.5, 1.4))
    return video * gain.view(-1, 1, 1, 1)


def render(dice: Dice, frames: int, size: int, still: Still) -> Tensor:
    """One rendered clip, [3, T, size, size] in [0, 1]."""
    canvas = int(1.5 * size)
    texture = still(dice, canvas) if dice.chance(0.5) else draw_texture(dice, canvas)
    video = move(texture, draw_path(dice, frames, size, 0.67), size, "reflection")
    for _ in range(dice.integer(0, 4)):
        colours, cover = draw_layer(dice, frames, size, still)
        video = torch.lerp(video, colours, cover)
    if dice.chance(0.15):
        video = change_light(dice, video)
    return video.clamp(0, 1).transpose(0, 1)
