"""The paper's temporal tiling."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..constants import PUBLISHED_WINDOWS
from ..layers.coder_pass import CoderPass, Coding
from ..tiling import Tiles
from .base import Output, Report, Schedule, check_piece_frames, cut_clip, recut
from .whole import Whole


@dataclass(frozen=True)
class Windows(Schedule):
    """Windows that share one frame, each a fresh clip, the shared frame dropped.

    OD-VAE, section 3.3: not equal to the whole clip, but to the authors' code. `frames` is 1 + 4k;
    decoding takes as many, or `decode_frames`.
    """

    frames: int = 33
    decode_frames: int | None = None

    word = "paper"
    carries_gradients = True
    bounded = True

    def __post_init__(self):
        check_piece_frames("frames", self.frames)
        if self.decode_frames is not None:
            check_piece_frames("decode_frames", self.decode_frames)

    @classmethod
    def published(cls, preset: str) -> Windows:
        """The windows of the authors' code for a preset. Raises `ValueError` where it has none."""
        if preset not in PUBLISHED_WINDOWS:
            raise ValueError(
                f"got preset {preset!r}; windows are published for {', '.join(PUBLISHED_WINDOWS)}: "
                "choose one of these, or give the frames yourself"
            )
        return cls(*PUBLISHED_WINDOWS[preset])

    def run(self, coder: CoderPass, clip: Tensor, tiles: Tiles | None, report: Report) -> Tensor:
        """The outer loop is over time, the inner one over tiles: memory is that of one window."""
        output = Output(coder.output_frames(clip.shape[2]), clip)
        for chunk in self.stream(coder, cut_clip(clip, *self.cut(coder)), tiles, report):
            output.append(chunk)
        return output.whole()

    def run_clip(self, coder: CoderPass, clip: Tensor, report: Report) -> Tensor:
        return self.run(coder, clip, None, report)

    def stream(
        self, coder: CoderPass, chunks: Iterable[Tensor], tiles: Tiles | None, report: Report
    ) -> Iterator[Tensor]:
        shared: Tensor | None = None
        for chunk in recut(chunks, *self.cut(coder)):
            window = chunk if shared is None else torch.cat([shared, chunk], dim=2)
            output = Whole().run(coder, window, tiles, report)
            yield output if shared is None else output[:, :, 1:]
            shared = window[:, :, -1:].clone()

    def cut(self, coder: CoderPass) -> tuple[int, int]:
        """Input frames of the first window, and new frames of each later one."""
        decoding = coder.coding is Coding.DECODE
        return coder.cut((decoding and self.decode_frames) or self.frames)

    def is_exact(self, coder: CoderPass) -> bool:
        return False

    def seams(self, coder: CoderPass, frames: int) -> range:
        first, later = self.cut(coder)
        step = coder.temporal_compression // coder.frames_in
        return range(1 + (first - 1) * step, frames, later * step)
