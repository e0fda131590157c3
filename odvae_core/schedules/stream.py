"""Depth first: a chunk goes through all steps before the next is read."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import Tensor

from ..layers.coder_pass import CoderPass
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

    def cut(self, coder: CoderPass) -> tuple[int, int]:
        return coder.cut(self.frames)

    def is_exact(self, coder: CoderPass) -> bool:
        return coder.streams_exactly

    def refusal(self, coder: CoderPass) -> str | None:
        return coder.whole_clip_only or coder.unstreamable

    def run_clip(self, coder: CoderPass, clip: Tensor, report: Report) -> Tensor:
        output = Output(coder.output_frames(clip.shape[2]), clip)
        with report.part(self.count(coder, clip.shape[2])):
            for chunk in self.stream(coder, cut_clip(clip, *coder.cut(self.frames)), None, report):
                output.append(chunk)
        return output.whole()

    def stream(
        self, coder: CoderPass, chunks: Iterable[Tensor], tiles: Tiles | None, report: Report
    ) -> Iterator[Tensor]:
        """Each tile has its own state, in host memory while other tiles run."""
        states: defaultdict[tuple[int, int], StreamState] = defaultdict(StreamState)
        cut = recut(chunks, *coder.cut(self.frames))
        for chunk, last in (
            mark_last(cut) if coder.looks_ahead else ((chunk, False) for chunk in cut)
        ):

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
