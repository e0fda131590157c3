"""Depth first: a chunk goes through all steps before the next is read."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import Tensor

from ..layers.stream import StreamState, advance
from ..tiling import Tiles
from .base import (
    Output,
    Report,
    Schedule,
    check_piece_frames,
    cut_clip,
    mark_last,
    over_tiles,
    recut,
)
from .direction import Direction

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stream(Schedule):
    """Depth first: memory doesn't grow with the clip's length, which needn't be known.

    `frames` is 1 + 4k, of video. Equal to the whole clip where every norm works frame by frame.
    Where a norm's statistics span the clip, those of the frames seen so far are used: an
    approximation, and logged as one.
    """

    frames: int = 17

    word = "stream"
    bounded = True

    def __post_init__(self):
        check_piece_frames("frames", self.frames)

    def cut(self, way: Direction) -> tuple[int, int]:
        return way.cut(self.frames)

    def is_exact(self, way: Direction) -> bool:
        return way.streams_exactly

    def refusal(self, way: Direction) -> str | None:
        return way.whole_clip_only or way.unstreamable

    def run_clip(self, way: Direction, clip: Tensor, report: Report) -> Tensor:
        output = Output(way.output_frames(clip.shape[2]), clip)
        with report.part(self.count(way, clip.shape[2])):
            for chunk in self.stream(way, cut_clip(clip, *way.cut(self.frames)), None, report):
                output.append(chunk)
        return output.whole()

    def stream(
        self, way: Direction, chunks: Iterable[Tensor], tiles: Tiles | None, report: Report
    ) -> Iterator[Tensor]:
        """Each tile keeps its own state, parked in host memory between its turns."""
        states: defaultdict[tuple[int, int], StreamState] = defaultdict(StreamState)
        cut = recut(chunks, *way.cut(self.frames))
        for chunk, last in mark_last(cut) if way.looks_ahead else ((chunk, False) for chunk in cut):

            def run(tile: Tensor, key: tuple[int, int], last: bool = last) -> Tensor:
                state = states[key]
                state.last = last
                placed = way.place(tile)
                state.move(placed.device)
                frames, _ = advance(way.steps, placed, None, state, report)
                if tiles is not None:
                    state.move("cpu")
                return frames.to(tile) if frames.shape[2] else way.withheld(tile)

            output = over_tiles(run, way, chunk, tiles)
            if output.shape[2]:
                yield output

    def check(self, way: Direction) -> None:
        if way.unstreamable and not way.whole_clip_only:
            raise ValueError(
                f"got {self}, but this model can't be streamed: {way.unstreamable}; "
                "use Sweep(), which is exact, or Windows() as its authors do"
            )
        super().check(way)
        if not way.streams_exactly:
            log.warning(
                "%s is approximate for this model: its norms span the clip and see only the frames "
                "so far; Sweep is exact",
                self,
            )
