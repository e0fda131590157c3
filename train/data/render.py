"""Rendered motion: textured planes that pan, zoom and rotate in front of each other."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ..keyed_random import KeyedRandom
from .textures import draw_mask, draw_texture

DrawStill = Callable[[KeyedRandom, int], Tensor]
"""Draws a square picture, (rng, size) -> [3, size, size] in [0, 1]."""


def draw_motion(rng: KeyedRandom, frames: int, size: int, scale: float) -> Tensor:
    """Affine maps from the picture to a plane's texture, [T, 2, 3]: pan, zoom and rotation.

    `scale` is the part of the texture that the picture shows; speeds are up to 6 pixels a frame.
    """
    time = torch.arange(frames) - frames / 2
    still = rng.chance(0.15)
    speed = 0.0 if still else rng.log_uniform(0.05, 6.0) * 2 / size
    heading = rng.uniform(0, 2 * math.pi)
    bend = 0.0 if still else rng.uniform(-0.02, 0.02)
    turn = rng.uniform(-0.03, 0.03) if rng.chance(0.4) and not still else 0.0
    growth = rng.uniform(-0.02, 0.02) if rng.chance(0.4) and not still else 0.0
    angle = rng.uniform(-0.3, 0.3) + turn * time
    zoom = scale * torch.exp(growth * time)
    direction = heading + bend * time
    x = rng.uniform(-0.3, 0.3) + scale * speed * time * torch.cos(direction)
    y = rng.uniform(-0.3, 0.3) + scale * speed * time * torch.sin(direction)
    cos, sin = zoom * torch.cos(angle), zoom * torch.sin(angle)
    return torch.stack([torch.stack([cos, -sin, x], 1), torch.stack([sin, cos, y], 1)], 1)


def move_texture(texture: Tensor, motion: Tensor, size: int, padding: str) -> Tensor:
    """A texture [C, S, S] sampled with affine maps [T, 2, 3] -> [T, C, size, size]."""
    frames, channels = len(motion), len(texture)
    grid = F.affine_grid(motion, [frames, channels, size, size], align_corners=False)
    planes = texture.expand(frames, -1, -1, -1)
    return F.grid_sample(planes, grid, padding_mode=padding, align_corners=False)


def draw_layer(
    rng: KeyedRandom, frames: int, size: int, draw_still: DrawStill
) -> tuple[Tensor, Tensor]:
    """A moving patch: its colours [T, 3, size, size] and its mask [T, 1, size, size]."""
    texture = draw_still(rng, size) if rng.chance(0.3) else draw_texture(rng, size)
    plane = torch.cat([texture, draw_mask(rng, size)])
    motion = draw_motion(rng, frames, size, rng.log_uniform(0.8, 4.0))
    moved = move_texture(plane, motion, size, "zeros")
    return moved[:, :3], moved[:, 3:]


def change_brightness(rng: KeyedRandom, video: Tensor) -> Tensor:
    """Brightness that changes slowly or at once over the clip [T, 3, H, W]."""
    time = torch.linspace(0, 1, len(video))
    if rng.chance(0.5):
        gain = 1 + rng.uniform(-0.5, 0.5) * time
    else:
        gain = torch.where(time < rng.uniform(0.2, 0.8), 1.0, rng.uniform(0.5, 1.4))
    return video * gain.view(-1, 1, 1, 1)


def render_clip(rng: KeyedRandom, frames: int, size: int, draw_still: DrawStill) -> Tensor:
    """One rendered clip, [3, T, size, size] in [0, 1]."""
    canvas = int(1.5 * size)
    texture = draw_still(rng, canvas) if rng.chance(0.5) else draw_texture(rng, canvas)
    video = move_texture(texture, draw_motion(rng, frames, size, 0.67), size, "reflection")
    for _ in range(rng.integer(0, 4)):
        colours, mask = draw_layer(rng, frames, size, draw_still)
        video = torch.lerp(video, colours, mask)
    if rng.chance(0.15):
        video = change_brightness(rng, video)
    return video.clamp(0, 1).transpose(0, 1)
