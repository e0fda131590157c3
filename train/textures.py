"""Textures drawn from random numbers: noise, gratings, checks, gradients, and masks for layers.

Every function returns values in [0, 1]: colours [3, S, S], masks [1, S, S].
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .dice import Dice


def draw_octaves(dice: Dice, size: int, channels: int) -> Tensor:
    """Octaves of random grids, each finer one weaker by a random slope: mean 0, deviation 1."""
    slope, cells, weight = dice.uniform(0.3, 0.9), dice.integer(2, 6), 1.0
    noise = torch.zeros(1, channels, size, size)
    while cells < size:
        grid = dice.uniforms(1, channels, cells, cells) - 0.5
        noise += weight * F.interpolate(grid, size=(size, size), mode="bicubic")
        weight, cells = weight * slope, cells * 2
    return (noise[0] - noise.mean()) / noise.std().clamp_min(1e-3)


def draw_noise(dice: Dice, size: int) -> Tensor:
    """Smooth to rough; mostly light and dark of one tint, as in nature."""
    light = draw_octaves(dice, size, 1) * dice.uniform(0.06, 0.22)
    colour = draw_octaves(dice, size, 3) * dice.uniform(0.0, 0.05)
    return (draw_colour(dice) + light + colour).clamp(0, 1)


def draw_colour(dice: Dice) -> Tensor:
    """One colour, [3, 1, 1]: a grey with a tint, weak to strong."""
    tint = (dice.uniforms(3, 1, 1) - 0.5) * dice.log_uniform(0.1, 1.2)
    return (dice.uniform(0.05, 0.95) + tint).clamp(0, 1)


def mix_colours(dice: Dice, amount: Tensor) -> Tensor:
    """Blend two random colours by a mask [1, S, S]."""
    return torch.lerp(draw_colour(dice), draw_colour(dice), amount)


def place(size: int) -> tuple[Tensor, Tensor]:
    """The coordinates of a texture's points, (y, x), each [S, S] in [-1, 1]."""
    line = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(line, line, indexing="ij")
    return y, x


def draw_grating(dice: Dice, size: int) -> Tensor:
    """One to three crossing waves; half of them with hard edges."""
    y, x = place(size)
    wave = torch.zeros(size, size)
    for _ in range(dice.integer(1, 3)):
        angle = dice.uniform(0, math.pi)
        frequency = dice.log_uniform(2, size / 6)
        phase = (math.cos(angle) * x + math.sin(angle) * y) * frequency * math.pi
        wave += torch.sin(phase + dice.uniform(0, 2 * math.pi))
    sharpness = dice.choose((1.0, 8.0))
    return mix_colours(dice, torch.sigmoid(2 * sharpness * wave)[None])


def draw_gradient(dice: Dice, size: int) -> Tensor:
    """A slow change from one colour to another."""
    y, x = place(size)
    angle = dice.uniform(0, 2 * math.pi)
    amount = 0.5 + 0.35 * (math.cos(angle) * x + math.sin(angle) * y)
    return mix_colours(dice, amount.clamp(0, 1)[None])


def draw_blocks(dice: Dice, size: int) -> Tensor:
    """Rectangles of random colours on a coarse grid."""
    cells = dice.integer(2, max(2, size // 8))
    shades = F.interpolate(dice.uniforms(1, 1, cells, cells), size=(size, size), mode="nearest")
    return mix_colours(dice, shades[0])


def draw_texture(dice: Dice, size: int) -> Tensor:
    """One of the textures, noise most often: nature is mostly noise."""
    draw = dice.choose(
        (draw_noise, draw_noise, draw_noise, draw_grating, draw_gradient, draw_blocks)
    )
    texture = draw(dice, size)
    if dice.chance(0.3):
        texture = torch.lerp(texture, draw_noise(dice, size), dice.uniform(0.1, 0.6))
    return texture


def mask_ellipse(dice: Dice, size: int) -> Tensor:
    """A round patch with a soft or a hard edge."""
    y, x = place(size)
    height, width = dice.uniform(0.25, 0.9), dice.uniform(0.25, 0.9)
    inside = 1 - torch.sqrt((y / height) ** 2 + (x / width) ** 2)
    return torch.sigmoid(inside * dice.log_uniform(8, 60))[None]


def mask_rectangle(dice: Dice, size: int) -> Tensor:
    """A box."""
    y, x = place(size)
    height, width = dice.uniform(0.1, 0.9), dice.uniform(0.1, 0.9)
    return ((y.abs() < height) & (x.abs() < width)).float()[None]


def mask_glyphs(dice: Dice, size: int) -> Tensor:
    """Rows of random strokes on a 5 x 7 raster with gaps between: what text looks like."""
    pixels = dice.integer(1, 3)
    rows, columns = size // (8 * pixels) + 1, size // (6 * pixels) + 1
    strokes = torch.zeros(rows, 8, columns, 6)
    strokes[:, :7, :, :5] = (dice.uniforms(rows, 7, columns, 5) < 0.45).float()
    raster = strokes.reshape(1, 1, rows * 8, columns * 6)
    glyphs = F.interpolate(raster, scale_factor=float(pixels), mode="nearest")[0, :, :size, :size]
    return glyphs * mask_rectangle(dice, size)


def mask_islands(dice: Dice, size: int) -> Tensor:
    """Ragged patches over the whole texture: a second plane that moves in parallax."""
    noise = draw_octaves(dice, size, 1)
    return torch.sigmoid((noise - dice.uniform(0.0, 1.0)) * dice.log_uniform(4, 40))


def draw_mask(dice: Dice, size: int) -> Tensor:
    """One of the masks."""
    draw = dice.choose((mask_ellipse, mask_ellipse, mask_rectangle, mask_glyphs, mask_islands))
    return draw(dice, size)
