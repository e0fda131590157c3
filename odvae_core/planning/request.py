"""A caller's request for a cut: the words and numbers of nodes and commands."""

from __future__ import annotations

from dataclasses import dataclass

from ..constants import STRATEGIES
from ..layers.coder_pass import CoderPass
from ..tiling import Tiles

UNCUT = ("whole", "published")
"""Strategies that take no number of frames."""


@dataclass(frozen=True)
class Request:
    """A strategy, and the sizes that it must keep to.

    `frames` are video frames of a piece, 1 + 4k; `tile` and `overlap` pixels. None leaves the
    choice of frames to the strategy, of the overlap to the planner (an eighth of the tile); a tile
    of None makes no tiles unless auto needs them. Raises `ValueError` on an unknown word
    or an impossible number.
    """

    strategy: str = "auto"
    frames: int | None = None
    tile: int | None = None
    overlap: int | None = None

    def __post_init__(self):
        if self.strategy not in STRATEGIES:
            raise ValueError(
                f"got schedule {self.strategy!r}; it is one of {', '.join(STRATEGIES)}: "
                "choose one of these"
            )
        if self.frames is not None:
            self._check_frames(self.frames)
        if self.tile is None:
            if self.overlap is not None:
                raise ValueError(
                    f"got an overlap of {self.overlap} without tiles: set a tile, 256 say"
                )
            return
        Tiles(self.tile, 0 if self.overlap is None else self.overlap)

    def _check_frames(self, frames: int) -> None:
        if self.strategy in UNCUT:
            raise ValueError(
                f"got frames = {frames}, but schedule {self.strategy!r} takes none: leave frames "
                "out, or choose paper, exact or stream"
            )
        if frames < 5 or frames % 4 != 1:
            shorter = max(5, 1 + (frames - 1) // 4 * 4)
            raise ValueError(
                f"got frames = {frames}; pieces have 1 + 4k frames, at least 5: "
                f"try {shorter} or {shorter + 4}"
            )

    def check_coder(self, coder: CoderPass) -> None:
        """Raise `ValueError` where this network can't take the sizes."""
        if self.frames is not None:
            coder.cut(self.frames)
        if tiles := self.tiles(coder):
            tiles.check_compression(coder.spatial_compression)

    def tiles(self, coder: CoderPass) -> Tiles | None:
        """The requested tiles; the default overlap is an eighth of their side."""
        if self.tile is None:
            return None
        overlap = eighth(self.tile, coder) if self.overlap is None else self.overlap
        return Tiles(self.tile, overlap)


def eighth(size: int, coder: CoderPass) -> int:
    """An eighth of a tile's side, in whole latents."""
    step = coder.spatial_compression
    return size // 8 // step * step
