"""Breadth first: all chunks go through a step before the next step starts."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from ..constants import INDEX_LIMIT
from ..layers.statistics import Moments
from ..layers.stream import Step, StreamState
from .base import Output, Report, Schedule, count_chunks, cut_clip
from .direction import Direction
from .stream import refuse_uncuttable

Pair = tuple[Tensor, Tensor | None]
"""The features and the shortcut between two steps."""

PAST_FRAMES = 2
"""Frames that a causal convolution of three frames puts in front of its input."""


@dataclass(frozen=True)
class Sweep(Schedule):
    """Breadth first: equal to the whole clip, norms over the clip included, in slabs of `frames` =
    1 + 4k video frames.

    The features of the whole clip are kept between the steps that open with such a norm; `park`
    keeps them in host memory, for a device that is too small. No step sees more than one slab,
    which is cut finer where 32-bit indices would overflow.
    """

    frames: int = 9
    park: bool = False

    def run_clip(self, way: Direction, clip: Tensor, report: Report) -> Tensor:
        output = Output(way.output_frames(clip.shape[2]), clip)
        slabs: deque[Pair] = deque((chunk, None) for chunk in cut_clip(clip, *way.cut(self.frames)))
        count, known = len(slabs), {}
        for segment, following in split_at_norms(way.steps):
            with report.part(len(segment) * count):
                swept = sweep(segment, slabs, StreamState(known), way, report)
                if following is None:
                    for frames, _ in swept:
                        output.append(frames)
                else:
                    slabs, moments = self.keep(swept, following)
                    known = {following: moments}
        return output.whole()

    def keep(self, swept: Iterator[Pair], norm: nn.Module) -> tuple[deque[Pair], Moments]:
        """The slabs of a segment, and their moments for the norm that comes next."""
        slabs: deque[Pair] = deque()
        total: Moments | None = None
        for x, shortcut in swept:
            moments = Moments.of(x, norm.num_groups)  # pyright: ignore[reportArgumentType]
            total = moments if total is None else total + moments
            slabs.append((self.parked(x), None if shortcut is None else self.parked(shortcut)))
        assert total is not None
        return slabs, total

    def parked(self, features: Tensor) -> Tensor:
        return features.to("cpu") if self.park else features

    def count(self, way: Direction, frames: int) -> int:
        return len(way.steps) * count_chunks(frames, *way.cut(self.frames))

    def check(self, way: Direction, clip: Tensor) -> None:
        super().check(way, clip)
        refuse_uncuttable(self, way)


def split_at_norms(steps: Sequence[Step]) -> Iterator[tuple[Sequence[Step], nn.Module | None]]:
    """The steps from one clip norm to the next, and that next norm (None at the end)."""
    starts = [0, *(i for i, step in enumerate(steps) if step.norm is not None and i), len(steps)]
    for start, end in pairwise(starts):
        yield steps[start:end], steps[end].norm if end < len(steps) else None


def sweep(
    segment: Sequence[Step], slabs: deque[Pair], state: StreamState, way: Direction, report: Report
) -> Iterator[Pair]:
    """All slabs through one segment; each is let go as it is read."""
    while slabs:
        x, shortcut = slabs.popleft()
        pair = way.place(x), None if shortcut is None else way.place(shortcut)
        yield from advance_in_pieces(segment, pair, state, not slabs, report)


def advance_in_pieces(
    steps: Sequence[Step], pair: Pair, state: StreamState, last: bool, report: Report
) -> Iterator[Pair]:
    """`advance`, but a chunk is cut in front of a step whose tensors would outgrow 32-bit indices."""
    x, shortcut = pair
    for i, step in enumerate(steps):
        frames = max(1, int((INDEX_LIMIT - 1) // (x[:, :, :1].numel() * step.growth)) - PAST_FRAMES)
        if frames < x.shape[2]:
            pieces = list(zip(x.split(frames, 2), _split(shortcut, frames, x), strict=True))
            for j, piece in enumerate(pieces):
                final = last and j == len(pieces) - 1
                yield from advance_in_pieces(steps[i:], piece, state, final, report)
            return
        state.last = last
        x, shortcut = step.run(x, shortcut, state)
        report()
        if not x.shape[2]:
            return
    yield x, shortcut


def _split(shortcut: Tensor | None, frames: int, x: Tensor) -> Sequence[Tensor | None]:
    if shortcut is None:
        return [None] * -(-x.shape[2] // frames)
    return shortcut.split(frames, 2)
