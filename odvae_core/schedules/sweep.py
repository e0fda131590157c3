"""Breadth first: all chunks go through a step before the next step starts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from ..layers.coder_pass import CoderPass
from ..layers.norm import ClipGroupNorm
from ..layers.stream import Step, StreamState
from .bands import BandedSteps, Known, Pair, gather
from .base import (
    Output,
    Report,
    Schedule,
    check_band_rows,
    check_piece_frames,
    count_band_rows,
    cut_clip,
)

CONTEXT_FRAMES = 4
"""The most frames that a layer adds to its input: remembered, withheld or repeated ones."""


@dataclass(frozen=True)
class Sweep(Schedule):
    """Breadth first: equal to the whole clip, norms over the clip included.

    No step sees more than a slab of `frames` = 1 + 4k video frames, cut finer where 32-bit indices
    would overflow, and with `rows` no more than a band of so many rows of the video's picture, or
    as many positions of a coarser one. The features of the whole clip are kept between the steps
    that open with such a norm; `park` keeps them in host memory, for a device that is too small.
    """

    frames: int = 9
    rows: int | None = None
    park: bool = False

    word = "exact"
    splits_large_tensors = True

    def __post_init__(self):
        check_piece_frames("frames", self.frames)
        check_band_rows(self.rows)

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
        sweep = partial(self.sweep, coder, coder.picture_size(clip.shape)[0], report)
        *segments, (last, _) = split_at_norms(coder.steps)
        for segment, following in segments:
            found: Known = {}
            note = partial(gather, found, following)
            if segment[0].across_time:
                with report.part(count):
                    slabs = mix_over_time(segment[0], slabs, note, coder, report)
            else:
                swept = map(self.keep, sweep(segment, slabs, known, note))
                slabs = even_out(deque(swept), count)
            known = found
        for frames, _ in sweep(last, slabs, known, lambda x: None):
            output.append(frames)
        return output.whole()

    def sweep(
        self,
        coder: CoderPass,
        height: int,
        report: Report,
        segment: Sequence[Step],
        slabs: deque[Pair],
        known: Known,
        note: Callable[[Tensor], None],
    ) -> Iterator[Pair]:
        """All slabs through one segment; each is freed once it is read.

        `height` is that of the video; `note` is called with everything that comes out.
        """
        if self.rows is None:
            yield from sweep_pictures(segment, slabs, StreamState(known), coder, report, note)
            return
        size = partial(count_band_rows, self.rows, height)
        banded = BandedSteps(segment, coder, slabs[0][0].shape[3], size, known, self.park)
        with report.part(len(segment) * len(slabs)):
            while slabs:
                pair = banded.run(slabs.popleft(), not slabs, report, note)
                if pair[0].shape[2]:
                    yield pair

    def keep(self, pair: Pair) -> Pair:
        """Move features to where they are kept until the next segment reads them."""
        x, shortcut = pair
        if not self.park:
            return pair
        return x.to("cpu"), None if shortcut is None else shortcut.to("cpu")


def even_out(slabs: deque[Pair], count: int) -> deque[Pair]:
    """Slabs of about the lengths that `count` of them have on average.

    Layers that look ahead move frames to the last slab, which would hold most of the clip.
    """
    longest = -(-sum(x.shape[2] for x, _ in slabs) // count)
    even: deque[Pair] = deque()
    for x, shortcut in slabs:
        pieces = 1 + x.shape[2] // (longest + 2)
        frames = -(-x.shape[2] // pieces)
        even.extend(
            zip(torch.split(x, frames, 2), split_shortcut(shortcut, frames, x), strict=True)
        )
    return even


def split_at_norms(
    steps: Sequence[Step],
) -> Iterator[tuple[Sequence[Step], ClipGroupNorm | None]]:
    """The steps from one clip norm to the next, and that next norm (None at the end).

    A step across time stands by itself.
    """
    apart = [step.across_time for step in steps]
    opens = [isinstance(step.norm, ClipGroupNorm) for step in steps]
    starts = [i for i in range(len(steps)) if not i or opens[i] or apart[i] or apart[i - 1]]
    for start, end in pairwise([*starts, len(steps)]):
        norm = steps[end].norm if end < len(steps) else None
        yield steps[start:end], norm if isinstance(norm, ClipGroupNorm) else None


def mix_over_time(
    step: Step,
    slabs: deque[Pair],
    note: Callable[[Tensor], None],
    coder: CoderPass,
    report: Report,
) -> deque[Pair]:
    """A step across time, on rows of the picture through all slabs at once, written back in place.

    As many rows as make no more features than a slab has.
    """
    lengths = [x.shape[2] for x, _ in slabs]
    rows = max(1, slabs[0][0].shape[3] * max(lengths) // sum(lengths))
    state = StreamState()
    state.last = True
    for top in range(0, slabs[0][0].shape[3], rows):
        x, shortcut = (join_rows(parts, top, rows, coder) for parts in zip(*slabs, strict=True))
        assert x is not None
        x, _ = step.run(x, shortcut, state)
        report()
        note(x)
        for (slab, _), new in zip(slabs, torch.split(x, lengths, dim=2), strict=True):
            slab[..., top : top + rows, :] = new
    return deque((x, None) for x, _ in slabs)


def join_rows(
    parts: Sequence[Tensor | None], top: int, rows: int, coder: CoderPass
) -> Tensor | None:
    """Rows of the picture through all slabs; None where these have no such part."""
    bands = [part[..., top : top + rows, :] for part in parts if part is not None]
    return coder.to_device(torch.cat(bands, dim=2)) if bands else None


def sweep_pictures(
    segment: Sequence[Step],
    slabs: deque[Pair],
    state: StreamState,
    coder: CoderPass,
    report: Report,
    note: Callable[[Tensor], None],
) -> Iterator[Pair]:
    """All slabs through one segment, whole pictures at a time."""
    with report.part(len(segment) * len(slabs)):
        while slabs:
            x, shortcut = slabs.popleft()
            pair = coder.to_device(x), None if shortcut is None else coder.to_device(shortcut)
            for new in advance_in_pieces(segment, pair, state, not slabs, report):
                note(new[0])
                yield new


def advance_in_pieces(
    steps: Sequence[Step], pair: Pair, state: StreamState, last: bool, report: Report
) -> Iterator[Pair]:
    """`advance`, but split a chunk before a step whose tensors would exceed 32-bit indices."""
    x, shortcut = pair
    for i, step in enumerate(steps):
        frames = max(1, step.most_frames(x) - CONTEXT_FRAMES)
        if frames < x.shape[2]:
            parts = torch.split(x, frames, 2), split_shortcut(shortcut, frames, x)
            pieces = list(zip(*parts, strict=True))
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


def split_shortcut(shortcut: Tensor | None, frames: int, x: Tensor) -> Sequence[Tensor | None]:
    """The shortcut in pieces of `frames`, as many as `x` has."""
    if shortcut is None:
        return [None] * -(-x.shape[2] // frames)
    return torch.split(shortcut, frames, 2)
