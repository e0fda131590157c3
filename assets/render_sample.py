"""Render assets/sample.mp4: a landscape that scrolls past, clouds, a turning ball and a sign.

    python -m assets.render_sample [OUTPUT]        (in the repository's root)

Everything is computed here, in numpy, from value noise with fixed seeds: no picture is read.
"""

import sys
from pathlib import Path

import numpy as np
import torch

from odvae_core.video import VideoWriter

HEIGHT, WIDTH, FRAMES, RATE = 192, 320, 49, 24
QUALITY = 16
SUN = np.array([0.55, -0.62, 0.56])  # the light's direction: right, down, towards the viewer

# (distance, height of the ridge line, its relief, far colour, near colour, seed); far ones first
HILLS = (
    (6.0, 84, 26, (0.58, 0.66, 0.78), (0.50, 0.60, 0.72), 11),
    (3.0, 112, 24, (0.42, 0.55, 0.52), (0.30, 0.46, 0.38), 12),
    (1.5, 142, 20, (0.36, 0.52, 0.26), (0.20, 0.36, 0.14), 13),
)
LETTERS = {  # 5x7 dots, one row a number
    "O": (14, 17, 17, 17, 17, 17, 14),
    "D": (30, 17, 17, 17, 17, 17, 30),
    "-": (0, 0, 0, 31, 0, 0, 0),
    "V": (17, 17, 17, 17, 17, 10, 4),
    "A": (14, 17, 17, 31, 17, 17, 17),
    "E": (31, 16, 16, 30, 16, 16, 31),
}


def sample_noise(x: np.ndarray, y: np.ndarray, seed: int) -> np.ndarray:
    """Smooth value noise on [0, 1] at real coordinates, from a lattice of 64x64 that repeats."""
    lattice = np.random.default_rng(seed).random((64, 64))
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = x - column, y - row
    fx, fy = fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy)
    above, below, left, right = row % 64, (row + 1) % 64, column % 64, (column + 1) % 64
    upper = lattice[above, left] * (1 - fx) + lattice[above, right] * fx
    lower = lattice[below, left] * (1 - fx) + lattice[below, right] * fx
    return upper * (1 - fy) + lower * fy


def sample_octaves(x: np.ndarray, y: np.ndarray, seed: int, octaves: int = 4) -> np.ndarray:
    """Noise with finer noise upon it, on [0, 1]."""
    total = sum(sample_noise(x * 2**i, y * 2**i, seed + i) / 2**i for i in range(octaves))
    return total / sum(1 / 2**i for i in range(octaves))


def mix(below: np.ndarray, above: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Blend [H, W, 3] pictures by a share [H, W] of the upper one."""
    return below + (above - below) * np.clip(share, 0, 1)[..., None]


def paint_sky(x: np.ndarray, y: np.ndarray, time: float) -> np.ndarray:
    """A gradient with clouds that drift and change."""
    top, horizon = np.array([0.25, 0.48, 0.82]), np.array([0.86, 0.90, 0.95])
    sky = top + (horizon - top) * (y / 120).clip(0, 1)[..., None]
    clouds = sample_octaves((x + 14 * time) / 52, y / 26 + 0.3 * time, seed=1, octaves=5)
    return mix(sky, np.array([1.0, 0.99, 0.97]), (clouds - 0.5) * 4)


def paint_hill(
    picture: np.ndarray, x: np.ndarray, y: np.ndarray, time: float, hill: tuple
) -> np.ndarray:
    """A ridge with grass of its own scale; near ones pass faster than far ones."""
    distance, level, relief, far, near, seed = hill
    place = x + 90 * time / distance
    ridge = level - relief * (2 * sample_octaves(place / 70, np.zeros_like(x), seed) - 1)
    depth = (y - ridge) / (HEIGHT - level)
    ground = np.array(far) + (np.array(near) - np.array(far)) * depth.clip(0, 1)[..., None]
    grass = sample_octaves(place / (6 / distance + 3), y / (7 / distance + 3), seed + 50)
    ground = ground * (0.4 + 1.2 * grass[..., None])
    return mix(picture, ground, y - ridge + 0.5)


def paint_sign(picture: np.ndarray, x: np.ndarray, y: np.ndarray, time: float) -> np.ndarray:
    """A board with letters of dots, on two posts, standing in the near meadow."""
    left, top, dot = 250 - 60 * time, 108, 2
    posts = (abs(abs(x - left - 38) - 28) < 2) & (y > top) & (y < top + 46)
    picture = mix(picture, np.array([0.30, 0.20, 0.12]), posts)
    board = np.minimum.reduce([x - left, left + 76 - x, y - top, top + 22 - y]) + 0.5
    grain = sample_noise((x - left) / 16, (y - top) / 1.5, seed=30)
    picture = mix(picture, np.array([0.93, 0.88, 0.76]) * (0.85 + 0.2 * grain[..., None]), board)
    for index, letter in enumerate("OD-VAE"):
        column = (x - left - 3 - 12 * index) / dot
        row = (y - top - 4) / dot
        inside = (column >= 0) & (column < 5) & (row >= 0) & (row < 7)
        rows = np.array(LETTERS[letter])[row.astype(int).clip(0, 6)]
        ink = (rows >> (4 - column.astype(int).clip(0, 4))) & 1
        picture = mix(picture, np.array([0.12, 0.10, 0.20]), inside * ink)
    return picture


def paint_ball(picture: np.ndarray, x: np.ndarray, y: np.ndarray, time: float) -> np.ndarray:
    """A ball with stripes and a rough skin, which rolls along and bounces, with its shadow."""
    radius, turn = 26.0, 3.1 * time
    cx, cy = 46 + 78 * time, 148 - 44 * abs(np.sin(np.pi * (0.25 + 0.85 * time)))
    nearness = 1 - ((148 - cy) / 90)
    shade = 1.2 - ((x - cx) / (radius * 1.1)) ** 2 - ((y - 176) / 7) ** 2
    picture = mix(picture, picture * 0.45, shade.clip(0, 1) * nearness)
    u, v = (x - cx) / radius, (y - cy) / radius
    w = np.sqrt((1 - u * u - v * v).clip(0))
    u, v, depth = u * np.cos(turn) + v * np.sin(turn), v * np.cos(turn) - u * np.sin(turn), w
    longitude, latitude = np.arctan2(u, depth), np.arcsin(v.clip(-1, 1))
    stripes = 0.5 + 0.5 * np.tanh(6 * np.sin(5 * longitude + 2 * np.sin(2 * latitude)))
    skin = sample_octaves(longitude * 5 + 20, latitude * 5 + 20, seed=40)
    colour = mix(np.full((*x.shape, 3), (0.84, 0.16, 0.13)), np.array([0.97, 0.93, 0.82]), stripes)
    light = 0.35 + 0.75 * ((x - cx) / radius * SUN[0] + (y - cy) / radius * SUN[1] + w * SUN[2])
    colour = colour * (0.75 + 0.4 * skin[..., None]) * light.clip(0.25, 1.2)[..., None]
    edge = radius - np.hypot(x - cx, y - cy) + 0.5
    return mix(picture, colour, edge)


def render_frame(index: int) -> np.ndarray:
    """Frame `index` as float64 [H, W, 3] on [0, 1]."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    time = index / RATE
    picture = paint_sky(x, y, time)
    for hill in HILLS:
        picture = paint_hill(picture, x, y, time, hill)
    picture = paint_sign(picture, x, y, time)
    return paint_ball(picture, x, y, time).clip(0, 1)


def to_video(picture: np.ndarray) -> torch.Tensor:
    """[H, W, 3] on [0, 1] -> [1, 3, 1, H, W] in [-1, 1]."""
    return torch.from_numpy(picture).permute(2, 0, 1)[None, :, None].float() * 2 - 1


def main() -> None:
    """Write the clip."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("sample.mp4")
    with VideoWriter(path, (HEIGHT, WIDTH), RATE, quality=QUALITY) as writer:
        for index in range(FRAMES):
            writer.write(to_video(render_frame(index)))


if __name__ == "__main__":
    main()
