"""Which rows of the picture a layer reads for the rows that it gives."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Reach:
    """Output rows [a, b) depend on input rows [a down / up - above, b down / up + below).

    Height is multiplied by `up` and divided by `down`. `whole`: every row depends on all rows.
    """

    above: int = 0
    below: int = 0
    up: int = 1
    down: int = 1
    whole: bool = False

    def input_rows(self, start: int, end: int, height: int) -> tuple[int, int]:
        """The input rows, of `height`, for output rows [start, end)."""
        if self.whole:
            return 0, height
        first = start * self.down // self.up - self.above
        return max(0, first), min(height, -(-end * self.down // self.up) + self.below)


def join_reaches(*reaches: Reach) -> Reach:
    """The reach of layers of which each runs on the output of the one before."""
    joined = reaches[0]
    for reach in reaches[1:]:
        above, below = (
            near - -far * joined.down // joined.up
            for near, far in ((joined.above, reach.above), (joined.below, reach.below))
        )
        joined = Reach(
            above,
            below,
            joined.up * reach.up,
            joined.down * reach.down,
            joined.whole or reach.whole,
        )
    return joined


ROW = Reach()
"""Every row by itself."""

PICTURE = Reach(whole=True)
"""Every row depends on all rows: what holds for a layer that declares no reach."""

DOUBLES = Reach(1, 1, up=2)
"""Height is doubled, nearest or linear, and convolved by a kernel of 3."""

HALVES = Reach(0, 1, down=2)
"""A kernel of 3 at every second row, padded at the bottom."""


def reach_of(layer: object) -> Reach:
    """The reach that a layer declares."""
    return getattr(layer, "reach", PICTURE)


def conv_reach(conv: nn.Conv2d | nn.Conv3d) -> Reach:
    """The reach of a convolution of stride 1 that keeps the height."""
    rows = conv.dilation[-2] * (conv.kernel_size[-2] // 2)
    return Reach(rows, rows)
