"""Overlapping spatial tiles, blended as in the authors' code, around any run of a clip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .constants import PUBLISHED_TILES


@dataclass(frozen=True)
class Tiles:
    """Square tiles of `size` pixels that overlap by `overlap`.

    Both are multiples of the spatial compression, else a pass raises `ValueError`. Attention and
    norms see their tile only, so tiles never equal the whole picture; bands of rows do
    (`Sweep(rows=...)`). The authors' v1.2 defaults are Tiles(256, overlap=32), v1.0's and v1.1's
    Tiles(256, overlap=64). Tiles go on until one would start behind the picture, so the last may
    lie wholly in its neighbour; with `stop_at_border` until one reaches the border.
    """

    size: int
    overlap: int = 32
    stop_at_border: bool = False

    @classmethod
    def published(cls, preset: str) -> Tiles:
        """The tiles of the authors' code for a preset.

        Raises `ValueError` where it has none.
        """
        if preset not in PUBLISHED_TILES:
            raise ValueError(
                f"got preset {preset!r}; tiles are published for {', '.join(PUBLISHED_TILES)}: "
                "choose one of these, or give size and overlap yourself"
            )
        return cls(*PUBLISHED_TILES[preset])

    def __post_init__(self):
        if not 0 <= self.overlap < self.size:
            raise ValueError(
                f"got tiles of {self.size} pixels that overlap by {self.overlap}; "
                "the overlap must be at least 0 and smaller than the tile: try 256 and 32"
            )

    def check_compression(self, compression: int) -> None:
        """Raise `ValueError` where tiles are no multiples of the spatial compression."""
        if self.size % compression or self.overlap % compression:
            size = max(compression, self.size // compression * compression)
            overlap = min(size - compression, self.overlap // compression * compression)
            raise ValueError(
                f"got tiles of {self.size} pixels that overlap by {self.overlap}; both must be "
                f"multiples of {compression}: try {size} and {overlap}"
            )


def count_tiles(tiles: Tiles | None, height: int, width: int) -> int:
    """How many tiles cover a picture of `height` x `width` pixels."""
    if tiles is None:
        return 1
    rows, columns = (
        tile_starts(side, tiles.size, tiles.overlap, tiles.stop_at_border)
        for side in (height, width)
    )
    return len(rows) * len(columns)


def tile_starts(length: int, size: int, overlap: int, stop_at_border: bool) -> range:
    """Where the tiles along a side of `length` start."""
    covered = overlap if stop_at_border else 0  # by the tile before
    return range(0, max(1, length - covered), size - overlap)


def run_tiled(
    run: Callable[[Tensor, tuple[int, int]], Tensor],
    clip: Tensor,
    size: int,
    overlap: int,
    scale: tuple[int, int],
    stop_at_border: bool = False,
) -> Tensor:
    """Run a clip [B, C, T, H, W] tile by tile and blend what comes out.

    `size` and `overlap` count input pixels; an output has `scale` = (multiply, divide) as many.
    `run` gets a tile and its (row, column). Each is blended with the finished tile above, then with
    the finished one to its left; only their overlapping strips are kept.
    """
    multiply, divide = scale
    extent, keep = overlap * multiply // divide, (size - overlap) * multiply // divide
    height, width = (side * multiply // divide for side in clip.shape[-2:])
    tops, lefts = (tile_starts(side, size, overlap, stop_at_border) for side in clip.shape[-2:])
    output: Tensor | None = None
    above: dict[int, Tensor] = {}
    for row, top in enumerate(tops):
        beside: Tensor | None = None
        for column, left in enumerate(lefts):
            tile = run(clip[..., top : top + size, left : left + size], (row, column))
            if output is None:
                output = tile.new_empty(*tile.shape[:3], height, width)
            tile = blend(beside, blend(above.get(column), tile, extent, dim=-2), extent, dim=-1)
            above[column], beside = strip(tile, extent, dim=-2), strip(tile, extent, dim=-1)
            target = output[..., row * keep :, column * keep :]
            target[..., : tile.shape[-2], : tile.shape[-1]] = tile
    assert output is not None
    return output


def strip(tile: Tensor, extent: int, dim: int) -> Tensor:
    """A copy of the last `extent` rows or columns."""
    extent = min(extent, tile.shape[dim])
    return tile.narrow(dim, tile.shape[dim] - extent, extent).clone()


def blend(before: Tensor | None, tile: Tensor, extent: int, dim: int) -> Tensor:
    """Fade from the strip `before` into the first rows (dim -2) or columns (dim -1) of `tile`."""
    extent = 0 if before is None else min(extent, before.shape[dim], tile.shape[dim])
    if before is None or not extent:
        return tile
    ramp = torch.arange(extent, device=tile.device, dtype=tile.dtype) / extent
    ramp = ramp.view(-1, *[1] * (-1 - dim))
    new = tile.narrow(dim, 0, extent)
    old = before.narrow(dim, before.shape[dim] - extent, extent)
    faded = torch.lerp(old, new, ramp)
    return torch.cat([faded, tile.narrow(dim, extent, tile.shape[dim] - extent)], dim)
