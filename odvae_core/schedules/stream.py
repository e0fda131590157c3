"""Depth first: a chunk goes through all steps before the next is read."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from ..layers.coder_pass import CoderPass
from ..layers.stream import StreamState, advance
from ..tiling import Tiles
from .bands import BandedSteps
from .base import (
    Output,
    Report,
    Schedule,
    check_band_rows,
    check_piece_frames,
    count_band_rows,
    cut_clip,
    mark_last,
    over_tiles,
    recut,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stream(Schedule):
    """Depth first: memory doesn't grow with the clip's length, which needn't be known.

    `frames` is 1 + 4k, of video. Equal to the whole clip where every norm works frame by frame.
    Where a norm's statistics span the clip, those of the frames seen so far are used: an
    approximation, and logged as one. With `rows` no step sees more than a band of so many rows of
    the video's picture, or as many positions of a coarser one: exact too, and for networks that
    stream exactly only. `park` keeps what bands keep between chunks in host memory.
    """

    frames: int = 17
    rows: int | None = None
    park: bool = False

    word = "stream"
    bounded = True

    def __post_init__(self):
        check_piece_frames("frames", self.frames)
        check_band_rows(self.rows)

    def cut(self, coder: CoderPass) -> tuple[int, int]:
        return coder.cut(self.frames)

    def is_exact(self, coder: CoderPass) -> bool:
        return coder.streams_exactly

    def refusal(self, coder: CoderPass) -> str | None:
        if self.rows and not coder.streams_exactly:
            return "its norms span the clip, and a band would see its own statistics only"
        return coder.whole_clip_only or coder.unstreamable

    def parked(self) -> Stream:
        return replace(self, park=True) if self.rows else self

    def run_clip(self, coder: CoderPass, clip: Tensor, report: Report) -> Tensor:
        output = Output(coder.output_frames(clip.shape[2]), clip)
        with report.part(self.count(coder, clip.shape[2])):
            for chunk in self.stream(coder, cut_clip(clip, *coder.cut(self.frames)), None, report):
                output.append(chunk)
        return output.whole()

    def stream(
        self, coder: CoderPass, chunks: Iterable[Tensor], tiles: Tiles | None, report: Report
    ) -> Iterator[Tensor]:
        cut = recut(chunks, *coder.cut(self.frames))
        marked = mark_last(cut) if coder.looks_ahead else ((chunk, False) for chunk in cut)
        if self.rows is None:
            return stream_tiles(coder, marked, tiles, report)
        if tiles is not None:
            raise ValueError(
                f"got {self} and {tiles}; bands of rows bound the memory without tiles: "
                "leave one of them out"
            )
        return self.stream_bands(coder, marked, self.rows, report)

    def stream_bands(
        self, coder: CoderPass, chunks: Iterable[tuple[Tensor, bool]], rows: int, report: Report
    ) -> Iterator[Tensor]:
        """Chunks and whether each is the last, in bands."""
        banded: BandedSteps | None = None
        for chunk, last in chunks:
            if banded is None:
                size = partial(count_band_rows, rows, coder.picture_size(chunk.shape)[0])
                banded = BandedSteps(coder.steps, coder, chunk.shape[3], size, park=self.park)
            frames, _ = banded.run((chunk, None), last, report, lambda x: None)
            if frames.shape[2]:
                yield frames.to(chunk)

    def check_coder(self, coder: CoderPass) -> None:
        if coder.unstreamable and not coder.whole_clip_only:
            raise ValueError(
                f"got {self}, but this model can't be streamed: {coder.unstreamable}; "
                "use Sweep(), which is exact, or Windows() as its authors do"
            )
        super().check_coder(coder)
        if not coder.streams_exactly:
            log.warning(
                "%s is approximate for this model: its norms span the clip and see only the frames "
                "so far; Sweep is exact",
                self,
            )


def stream_tiles(
    coder: CoderPass,
    chunks: Iterable[tuple[Tensor, bool]],
    tiles: Tiles | None,
    report: Report,
) -> Iterator[Tensor]:
    """Chunks and whether each is the last, through all steps.

    Each tile has its own state, in host memory while other tiles run.
    """
    states: defaultdict[tuple[int, int], StreamState] = defaultdict(StreamState)
    for chunk, last in chunks:

        def run(tile: Tensor, key: tuple[int, int], last: bool = last) -> Tensor:
            state = states[key]
            state.last = last
            placed = coder.to_device(tile)
            state.move(placed.device)
            frames, _ = advance(coder.steps, placed, None, state, report)
            if tiles is not None:
                state.move("cpu")
            return frames.to(tile) if frames.shape[2] else coder.withheld(tile)

        output = over_tiles(run, coder, chunk, tiles)
        if output.shape[2]:
            yield output
