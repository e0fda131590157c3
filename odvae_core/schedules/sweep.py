"""Breadth first: all chunks go through a step before the next step starts."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..layers.coder_pass import CoderPass
from ..layers.stream import Moments, Step, StreamState
from .base import Output, Report, Schedule, check_piece_frames, cut_clip

Pair = tuple[Tensor, Tensor | None]
"""The features and the shortcut between two steps."""

Known = dict[nn.Module, Moments]
"""The moments of the whole clip for the norm that comes next."""

CONTEXT_FRAMES = 4
"""The most frames that a layer adds to its input: remembered, withheld or repeated ones."""


@dataclass(frozen=True)
class Sweep(Schedule):
    """Breadth first: equal to the whole clip, norms over the clip included.

    No step sees more than a slab of `frames` = 1 + 4k video frames, cut finer where 32-bit indices
    would overflow. The features of the whole clip are kept between the steps that open with such a
    norm; `park` keeps them in host memory, for a device that is too small.
    """

    frames: int = 9
    park: bool = False

    word = "exact"
    splits_large_tensors = True

    def __post_init__(self):
        check_piece_frames("frames", self.frames)

    def cut(self, coder: CoderPass) -> tuple[int, int]:
        return coder.cut(self.frames)

    def is_exact(self, coder: CoderPass) -> bool:
        return True

    def refusal(self, coder: CoderPass) -> str | None:
        return coder.whole_clip_only

    def parked(self) -> Sweep:
        return replace(self, park=True)

    def run_clip(self, coder: CoderPass, clip: Tensor, report: Report) -> Tensor:
        output = Output(coder.output_frames(clip.shape[2]), clip)
        slabs: deque[Pair] = deque(
            (chunk, None) for chunk in cut_clip(clip, *coder.cut(self.frames))
        )
        count, known = len(slabs), {}
        *segments, (last, _) = split_at_norms(coder.steps)
        for segment, following in segments:
            with report.part(len(segment) * count):
                state = StreamState(known)
                if segment[0].across_time:
                    slabs, known = mix_over_time(segment[0], following, slabs, state, coder, report)
                else:
                    swept = sweep(segment, slabs, state, coder, report)
                    slabs, known = self.keep(swept, following)
        with report.part(len(last) * count):
            for frames, _ in sweep(last, slabs, StreamState(known), coder, report):
                output.append(frames)
        return output.whole()

    def keep(self, swept: Iterator[Pair], norm: nn.Module | None) -> tuple[deque[Pair], Known]:
        """The slabs of a segment, and their moments for the norm that comes next."""
        slabs: deque[Pair] = deque()
        known: Known = {}
        for x, shortcut in swept:
            gather(known, norm, x)
            slabs.append(
                (self.move_kept(x), None if shortcut is None else self.move_kept(shortcut))
            )
        return slabs, known

    def move_kept(self, features: Tensor) -> Tensor:
        """Move features to where they are kept until the next segment reads them."""
        return features.to("cpu") if self.park else features


def split_at_norms(steps: Sequence[Step]) -> Iterator[tuple[Sequence[Step], nn.Module | None]]:
    """The steps from one clip norm to the next, and that next norm (None at the end).

    A step across time stands by itself.
    """
    apart = [step.across_time for step in steps]
    opens = [step.norm is not None for step in steps]
    starts = [i for i in range(len(steps)) if not i or opens[i] or apart[i] or apart[i - 1]]
    for start, end in pairwise([*starts, len(steps)]):
        yield steps[start:end], steps[end].norm if end < len(steps) else None


def gather(known: Known, norm: nn.Module | None, x: Tensor) -> None:
    """Add the moments of `x` to what is known for `norm`, if there is one."""
    if norm is not None:
        moments = Moments.of(x, norm.num_groups)  # pyright: ignore[reportArgumentType]
        known[norm] = known[norm] + moments if norm in known else moments


def mix_over_time(
    step: Step,
    following: nn.Module | None,
    slabs: deque[Pair],
    state: StreamState,
    coder: CoderPass,
    report: Report,
) -> tuple[deque[Pair], Known]:
    """A step across time, on rows of the picture through all slabs at once, written back in place.

    As many rows as make no more features than a slab has.
    """
    known: Known = {}
    lengths = [x.shape[2] for x, _ in slabs]
    rows = max(1, slabs[0][0].shape[3] * max(lengths) // sum(lengths))
    state.last = True
    for top in range(0, slabs[0][0].shape[3], rows):
        x, shortcut = (join_rows(parts, top, rows, coder) for parts in zip(*slabs, strict=True))
        assert x is not None
        x, _ = step.run(x, shortcut, state)
        report()
        gather(known, following, x)
        for (slab, _), new in zip(slabs, torch.split(x, lengths, dim=2), strict=True):
            slab[..., top : top + rows, :] = new
    return deque((x, None) for x, _ in slabs), known


def join_rows(
    parts: Sequence[Tensor | None], top: int, rows: int, coder: CoderPass
) -> Tensor | None:
    """Rows of the picture through all slabs; None where these have no such part."""
    bands = [part[..., top : top + rows, :] for part in parts if part is not None]
    return coder.to_device(torch.cat(bands, dim=2)) if bands else None


def sweep(
    segment: Sequence[Step],
    slabs: deque[Pair],
    state: StreamState,
    coder: CoderPass,
    report: Report,
) -> Iterator[Pair]:
    """All slabs through one segment; each is freed once it is read."""
    while slabs:
        x, shortcut = slabs.popleft()
        pair = coder.to_device(x), None if shortcut is None else coder.to_device(shortcut)
        yield from advance_in_pieces(segment, pair, state, not slabs, report)


def advance_in_pieces(
    steps: Sequence[Step], pair: Pair, state: StreamState, last: bool, report: Report
) -> Iterator[Pair]:
    """`advance`, but split a chunk before a step whose tensors would exceed 32-bit indices."""
    x, shortcut = pair
    for i, step in enumerate(steps):
        frames = max(1, step.most_frames(x) - CONTEXT_FRAMES)
        if frames < x.shape[2]:
            pieces = list(zip(torch.split(x, frames, 2), _split(shortcut, frames, x), strict=True))
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
    return torch.split(shortcut, frames, 2)
