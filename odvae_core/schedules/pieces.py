"""Independent pieces, as Open-Sora 1.2 cuts clips."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import Tensor

from ..layers.coder_pass import CoderPass, Coding
from ..tiling import Tiles
from .base import Output, Report, Schedule, check_piece_frames, cut_clip, recut
from .whole import Whole


@dataclass(frozen=True)
class Pieces(Schedule):
    """Pieces of a clip, each a clip of its own: nothing is shared, so seams may show.

    A piece of n frames has ceil(n / c) latent frames, c being the temporal compression. So latents
    don't tell how many frames they stand for: without `clip_frames`, those of the clip, every piece
    has 1 + ck frames, and other clips are refused. With it any clip is taken, where the network
    allows it.
    """

    frames: int = 17
    clip_frames: int | None = None

    word = "pieces"
    carries_gradients = True
    bounded = True

    def __post_init__(self):
        check_piece_frames("frames", self.frames)
        if self.clip_frames is not None and self.clip_frames < 1:
            raise ValueError(f"got clip_frames={self.clip_frames}; a clip has a frame or more")

    def cut(self, coder: CoderPass) -> tuple[int, int]:
        """Input frames of every piece."""
        if self.clip_frames is None:
            coder.cut(self.frames)  # refuses pieces that aren't 1 + ck frames
        decodes = coder.coding is Coding.DECODE
        frames = -(-self.frames // coder.temporal_compression) if decodes else self.frames
        return frames, frames

    def is_exact(self, coder: CoderPass) -> bool:
        return False

    def seams(self, coder: CoderPass, frames: int) -> range:
        return range(self.frames, frames, self.frames)

    def run(self, coder: CoderPass, clip: Tensor, tiles: Tiles | None, report: Report) -> Tensor:
        """The outer loop is over pieces, the inner one over tiles: memory is that of one piece."""
        output = Output(self.output_frames(coder, clip.shape[2]), clip)
        for piece in self.stream(coder, cut_clip(clip, *self.cut(coder)), tiles, report):
            output.append(piece)
        return output.whole()

    def run_clip(self, coder: CoderPass, clip: Tensor, report: Report) -> Tensor:
        return self.run(coder, clip, None, report)

    def stream(
        self, coder: CoderPass, chunks: Iterable[Tensor], tiles: Tiles | None, report: Report
    ) -> Iterator[Tensor]:
        done, compression = 0, coder.temporal_compression
        for piece in recut(chunks, *self.cut(coder)):
            frames = self.piece_frames(coder, piece.shape[2], done)
            done += frames
            first = (frames - 1) % compression + 1
            yield Whole().run(coder.starting_with(first), piece, tiles, report)
        if self.clip_frames not in (None, done):
            raise ValueError(f"got a clip of {done} frames and clip_frames={self.clip_frames}")

    def output_frames(self, coder: CoderPass, frames: int) -> int:
        """Output frames for a clip of so many input frames."""
        if coder.coding is Coding.DECODE and self.clip_frames is not None:
            return self.clip_frames
        whole, rest = divmod(frames, self.cut(coder)[0])
        full = coder.output_frames(self.cut(coder)[0])
        return whole * full + (coder.output_frames(rest) if rest else 0)

    def piece_frames(self, coder: CoderPass, given: int, done: int) -> int:
        """Video frames of the piece that follows `done` frames and has `given` input frames.

        Raises `ValueError` where they can't be those of this clip.
        """
        compression = coder.temporal_compression
        decodes = coder.coding is Coding.DECODE
        if self.clip_frames is None:
            frames = 1 + (given - 1) * compression if decodes else given
            if (frames - 1) % compression:
                raise ValueError(
                    f"got a clip of {done + frames} frames in pieces of {self.frames}; the last "
                    f"has {frames}, and takes 1 + {compression}k: extend it, as "
                    f"odvae_core.padding does, or give {self.word} its clip_frames both ways"
                )
            return frames
        frames = min(self.frames, self.clip_frames - done)
        expected = -(-frames // compression) if decodes else frames
        if given != expected:
            raise ValueError(
                f"got a piece of {given} frames where one of {expected} follows from "
                f"clip_frames={self.clip_frames}: give the frames of this clip"
            )
        return frames
