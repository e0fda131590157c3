"""A run of steps on bands of rows of the picture, one after the other: exact, in less memory.

A band is read with a halo: the rows beside it that its convolutions reach. The layers' padding
spoils halo rows only, which are cropped; at the picture's border there is no halo.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

import torch
from einops import rearrange
from torch import Tensor, nn

from ..layers.coder_pass import CoderPass
from ..layers.norm import FrameGroupNorm
from ..layers.stream import Moments, Step, StreamState, advance
from .base import Report

Pair = tuple[Tensor, Tensor | None]
"""The features and the shortcut between two steps."""

Known = dict[nn.Module, Moments]
"""The moments of the norm that comes next."""

DEPTH = 2
"""Steps that share a halo: more of them read more rows twice, fewer keep more features."""


@dataclass(frozen=True)
class Band:
    """Output rows [start, end) of a part, and the input rows [top, bottom) that they depend on."""

    start: int
    end: int
    top: int
    bottom: int


@dataclass(frozen=True)
class Part:
    """Consecutive steps that run on one band after the other.

    `following` is the norm of each frame that the next part opens with, None where there is none.
    """

    steps: Sequence[Step]
    bands: Sequence[Band]
    height: int
    following: FrameGroupNorm | None


def split_into_parts(
    steps: Sequence[Step], height: int, size: Callable[[int], int]
) -> Iterator[Part]:
    """Cut at norms of each frame, around steps that see the whole picture, and every `DEPTH`.

    `height` is the input's; a band of a map that is h rows high has `size(h)` of them.
    """
    starts = [0]
    for i in range(1, len(steps)):
        whole = steps[i].reach.whole or steps[i - 1].reach.whole
        if whole or isinstance(steps[i].norm, FrameGroupNorm) or i - starts[-1] == DEPTH:
            starts.append(i)
    for start, end in pairwise([*starts, len(steps)]):
        norm = steps[end].norm if end < len(steps) else None
        following = norm if isinstance(norm, FrameGroupNorm) else None
        heights = list_heights(steps[start:end], height)
        bands = list_bands(steps[start:end], heights, size(max(heights)))
        height = heights[-1]
        yield Part(steps[start:end], bands, height, following)


def list_heights(steps: Sequence[Step], height: int) -> list[int]:
    """The height of the input of each step, and of the last output."""
    heights = [height]
    for step in steps:
        heights.append(heights[-1] * step.reach.up // step.reach.down)
    return heights


def list_bands(steps: Sequence[Step], heights: Sequence[int], rows: int) -> list[Band]:
    """The bands of which the largest map has `rows` rows each; one where a step sees all rows."""
    height = heights[-1]
    whole = any(step.reach.whole for step in steps)
    rows = height if whole else max(1, rows * height // max(heights))
    return [
        find_band(steps, heights, start, min(start + rows, height))
        for start in range(0, height, rows)
    ]


def find_band(steps: Sequence[Step], heights: Sequence[int], start: int, end: int) -> Band:
    """The band of output rows [start, end). Its input starts on the grid of the strides."""
    top, bottom = start, end
    for step, height in zip(reversed(steps), reversed(heights[:-1]), strict=True):
        top, bottom = step.reach.input_rows(top, bottom, height)
    grid = prod(step.reach.down for step in steps)
    return Band(start, end, top // grid * grid, min(heights[0], -(-bottom // grid) * grid))


class BandedSteps:
    """Consecutive steps for one slab of frames after the other, each in bands of rows.

    `known` holds the moments of the clip for the norm that the steps open with. `size` tells how
    many rows a band of a map of a given height has. With `park`, features and the states of bands
    are kept in host memory.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        coder: CoderPass,
        height: int,
        size: Callable[[int], int],
        known: Known | None = None,
        park: bool = False,
    ):
        self.coder, self.park = coder, park
        self.parts = list(split_into_parts(steps, height, size))
        self.states = [[StreamState(known) for _ in part.bands] for part in self.parts]

    def run(self, pair: Pair, last: bool, report: Report, found: Callable[[Tensor], None]) -> Pair:
        """The slab behind the last step; `found` is called with each band of it.

        A step is reported as done with its last band.
        """
        moments: Known = {}
        for part, states in zip(self.parts, self.states, strict=True):
            gathered: Known = {}
            joined = JoinedBands(part.height, self.park)
            for band, state in zip(part.bands, states, strict=True):
                state.last, state.frame_moments = last, moments
                done = report if band is part.bands[-1] else report.check
                x, shortcut = self.run_band(part, band, pair, state, done)
                gather_frames(gathered, part.following, x)
                if part is self.parts[-1]:
                    found(x)
                joined.add(band, x, shortcut)
            pair, moments = joined.pair(), gathered
            if not pair[0].shape[2]:
                break
        return pair

    def run_band(
        self, part: Part, band: Band, pair: Pair, state: StreamState, done: Callable[[], None]
    ) -> Pair:
        """One band on the network's device, without its halo."""
        x, shortcut = (
            None if slab is None else self.coder.to_device(slab[..., band.top : band.bottom, :])
            for slab in pair
        )
        assert x is not None
        state.move(x.device)
        x, shortcut = advance(part.steps, x, shortcut, state, done)
        if self.park:
            state.move("cpu")
        first = band.start - band.top * part.height // pair[0].shape[3]
        rows = slice(first, first + band.end - band.start)
        return x[..., rows, :], None if shortcut is None else shortcut[..., rows, :]


class JoinedBands:
    """A slab that is put together from its bands, on the device or in host memory."""

    def __init__(self, height: int, on_host: bool):
        self.height, self.on_host = height, on_host
        self.parts: list[Tensor | None] = [None, None]

    def add(self, band: Band, *parts: Tensor | None) -> None:
        for i, part in enumerate(parts):
            if part is None:
                continue
            whole = self.parts[i]
            if whole is None:
                device = torch.device("cpu") if self.on_host else part.device
                shape = (*part.shape[:3], self.height, part.shape[4])
                whole = self.parts[i] = torch.empty(shape, dtype=part.dtype, device=device)
            whole[..., band.start : band.end, :] = part

    def pair(self) -> Pair:
        x, shortcut = self.parts
        assert x is not None
        return x, shortcut


def gather_frames(known: Known, norm: FrameGroupNorm | None, x: Tensor) -> None:
    """Add the moments of each frame of a band to what is known for `norm`, if there is one."""
    if norm is not None:
        gather(known, norm, rearrange(x, "b c t h w -> (b t) c 1 h w"))


def gather(known: Known, norm: nn.GroupNorm | None, x: Tensor) -> None:
    """Add the moments of `x`, which may have no frame, to what is known for `norm`, if any."""
    if norm is not None and x.numel():
        moments = Moments.of(x, norm.num_groups)
        known[norm] = known[norm] + moments if norm in known else moments
