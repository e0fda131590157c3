"""Textures drawn from random numbers: noise, gratings, checks, gradients, and masks for layers.

Every function returns values in [0, 1]: colours [3, S, S], masks [1, S, S].
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ..keyed_random import KeyedRandom


def draw_octaves(rng: KeyedRandom, size: int, channels: int) -> Tensor:
    """Octaves of random grids, finer ones weaker by a random factor: mean 0, deviation 1."""
    slope, cells, weight = rng.uniform(0.3, 0.9), rng.integer(2, 6), 1.0
    noise = torch.zeros(1, channels, size, size)
    while cells < size:
        grid = rng.uniforms(1, channels, cells, cells) - 0.5
        noise += weight * F.interpolate(grid, size=(size, size), mode="bicubic")
        weight, cells = weight * slope, cells * 2
    return (noise[0] - noise.mean()) / noise.std().clamp_min(1e-3)


def draw_noise(rng: KeyedRandom, size: int) -> Tensor:
    """Noise with random smoothness; brightness varies more than colour, as in nature."""
    light = draw_octaves(rng, size, 1) * rng.uniform(0.06, 0.22)
    colour = draw_octaves(rng, size, 3) * rng.uniform(0.0, 0.05)
    return (draw_colour(rng) + light + colour).clamp(0, 1)


def draw_colour(rng: KeyedRandom) -> Tensor:
    """One colour, [3, 1, 1]: a grey with a tint, weak to strong."""
    tint = (rng.uniforms(3, 1, 1) - 0.5) * rng.log_uniform(0.1, 1.2)
    return (rng.uniform(0.05, 0.95) + tint).clamp(0, 1)


def mix_colours(rng: KeyedRandom, amount: Tensor) -> Tensor:
    """Blend two random colours by a mask [1, S, S]."""
    return torch.lerp(draw_colour(rng), draw_colour(rng), amount)


def pixel_grid(size: int) -> tuple[Tensor, Tensor]:
    """The coordinates of a texture's pixels, (y, x), each [S, S] in [-1, 1]."""
    line = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(line, line, indexing="ij")
    return y, x


def draw_grating(rng: KeyedRandom, size: int) -> Tensor:
    """One to three crossing waves; half of them with hard edges."""
    y, x = pixel_grid(size)
    wave = torch.zeros(size, size)
    for _ in range(rng.integer(1, 3)):
        angle = rng.uniform(0, math.pi)
        frequency = rng.log_uniform(2, size / 6)
        phase = (math.cos(angle) * x + math.sin(angle) * y) * frequency * math.pi
        wave += torch.sin(phase + rng.uniform(0, 2 * math.pi))
    sharpness = rng.choose((1.0, 8.0))
    return mix_colours(rng, torch.sigmoid(2 * sharpness * wave)[None])


def draw_gradient(rng: KeyedRandom, size: int) -> Tensor:
    """A slow change from one colour to another."""
    y, x = pixel_grid(size)
    angle = rng.uniform(0, 2 * math.pi)
    amount = 0.5 + 0.35 * (math.cos(angle) * x + math.sin(angle) * y)
    return mix_colours(rng, amount.clamp(0, 1)[None])


def draw_blocks(rng: KeyedRandom, size: int) -> Tensor:
    """Rectangles of random colours on a coarse grid."""
    cells = rng.integer(2, max(2, size // 8))
    shades = F.interpolate(rng.uniforms(1, 1, cells, cells), size=(size, size), mode="nearest")
    return mix_colours(rng, shades[0])


def draw_texture(rng: KeyedRandom, size: int) -> Tensor:
    """One of the textures; noise is the most frequent, since nature is mostly noise."""
    draw = rng.choose(
        (draw_noise, draw_noise, draw_noise, draw_grating, draw_gradient, draw_blocks)
    )
    texture = draw(rng, size)
    if rng.chance(0.3):
        texture = torch.lerp(texture, draw_noise(rng, size), rng.uniform(0.1, 0.6))
    return texture


def mask_ellipse(rng: KeyedRandom, size: int) -> Tensor:
    """A round patch with a soft or a hard edge."""
    y, x = pixel_grid(size)
    height, width = rng.uniform(0.25, 0.9), rng.uniform(0.25, 0.9)
    inside = 1 - torch.sqrt((y / height) ** 2 + (x / width) ** 2)
    return torch.sigmoid(inside * rng.log_uniform(8, 60))[None]


def mask_rectangle(rng: KeyedRandom, size: int) -> Tensor:
    """A rectangle."""
    y, x = pixel_grid(size)
    height, width = rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9)
    return ((y.abs() < height) & (x.abs() < width)).float()[None]


def mask_glyphs(rng: KeyedRandom, size: int) -> Tensor:
    """Rows of random strokes on a 5 x 7 raster with gaps between them, similar to text."""
    pixels = rng.integer(1, 3)
    rows, columns = size // (8 * pixels) + 1, size // (6 * pixels) + 1
    strokes = torch.zeros(rows, 8, columns, 6)
    strokes[:, :7, :, :5] = (rng.uniforms(rows, 7, columns, 5) < 0.45).float()
    raster = strokes.reshape(1, 1, rows * 8, columns * 6)
    glyphs = F.interpolate(raster, scale_factor=float(pixels), mode="nearest")[0, :, :size, :size]
    return glyphs * mask_rectangle(rng, size)


def mask_islands(rng: KeyedRandom, size: int) -> Tensor:
    """Irregular patches over the whole texture: a second plane with parallax."""
    noise = draw_octaves(rng, size, 1)
    return torch.sigmoid((noise - rng.uniform(0.0, 1.0)) * rng.log_uniform(4, 40))


def draw_mask(rng: KeyedRandom, size: int) -> Tensor:
    """One of the masks."""
    draw = rng.choose((mask_ellipse, mask_ellipse, mask_rectangle, mask_glyphs, mask_islands))
    return draw(rng, size)
