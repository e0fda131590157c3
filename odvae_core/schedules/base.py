"""The base class of schedules, and what they share: tiles, output, progress."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar, Self

import torch
from torch import Tensor

from ..layers.coder_pass import CoderPass
from ..tiling import Tiles, run_tiled

Progress = Callable[[int, int | None], None]
"""Called with the steps done and the steps in all (None where the clip's length is not known); may
raise to cancel."""


class Report:
    """Counts steps for a progress callback."""

    def __init__(self, progress: Progress | None, total: int | None = None):
        self.progress, self.total, self.done = progress, total, 0
        self.end = total  # of the part in hand

    def __call__(self) -> None:
        self._reach(self.done + 1 if self.end is None else min(self.done + 1, self.end))

    def check(self) -> None:
        """Call the callback without a step done, so that it may cancel."""
        self._reach(self.done)

    @contextmanager
    def part(self, count: int) -> Generator[None]:
        """A part planned as `count` steps; withheld chunks and finer cuts change it."""
        self.end = end = self.done + count
        yield
        self._reach(end)

    def _reach(self, done: int) -> None:
        self.done = done if self.total is None else min(done, self.total)
        if self.progress is not None:
            self.progress(self.done, self.total)


@dataclass(frozen=True)
class Schedule(ABC):
    """How a clip is cut. All are frozen dataclasses that count in video frames.

    `frames` are those of a piece, None where the clip isn't cut; `rows` those of a band of the
    video's picture, None where it isn't cut. `park` says that what is kept of the clip's features
    is kept in host memory. `word` names the schedule in nodes and commands. `bounded` says that
    memory doesn't grow with the clip's length: such a schedule also runs a clip that comes in
    chunks. `splits_large_tensors` says that it cuts finer where a tensor would exceed 32-bit
    indices; the others raise `ValueError` there.
    """

    frames: int | None = field(default=None, init=False, repr=False)
    rows: int | None = field(default=None, init=False, repr=False)
    park: bool = field(default=False, init=False, repr=False)
    word: ClassVar[str]
    carries_gradients: ClassVar[bool] = False
    bounded: ClassVar[bool] = False
    splits_large_tensors: ClassVar[bool] = False

    @abstractmethod
    def cut(self, coder: CoderPass) -> tuple[int, int]:
        """Input frames of the first piece and of each later one.

        Raises `ValueError` where this schedule's pieces don't suit the temporal compression.
        """

    @abstractmethod
    def is_exact(self, coder: CoderPass) -> bool:
        """Whether the result equals the whole clip's, to rounding, wherever the clip is cut."""

    def refusal(self, coder: CoderPass) -> str | None:
        """Why this schedule can't run this network; None where it can."""
        return None

    def seams(self, coder: CoderPass, frames: int) -> range:
        """The video frames, in a clip of `frames`, at which a new window starts."""
        return range(0)

    def parked(self) -> Self:
        """The same, with what it keeps of the clip's features in host memory."""
        return self

    def run(self, coder: CoderPass, clip: Tensor, tiles: Tiles | None, report: Report) -> Tensor:
        """The clip [B, C, T, H, W] through `coder`, on the clip's device and in its type.

        The outer loop is over tiles, the inner one over time.
        """
        return over_tiles(lambda tile, _: self.run_clip(coder, tile, report), coder, clip, tiles)

    @abstractmethod
    def run_clip(self, coder: CoderPass, clip: Tensor, report: Report) -> Tensor:
        """The whole clip, one tile of it, through `coder`."""

    def count(self, coder: CoderPass, frames: int) -> int:
        """How many steps a clip of `frames` input frames takes in one tile."""
        return len(coder.steps) * count_chunks(frames, *self.cut(coder))

    def stream(
        self, coder: CoderPass, chunks: Iterable[Tensor], tiles: Tiles | None, report: Report
    ) -> Iterator[Tensor]:
        """The clip chunk by chunk, in memory that doesn't grow with its length.

        Raises `ValueError` for the schedules that need the whole clip.
        """
        raise ValueError(
            f"got {self}; a stream of chunks takes Stream() or Windows(), since the others need "
            "the whole clip: choose one of these, or join the chunks and use encode or decode"
        )

    def check_coder(self, coder: CoderPass) -> None:
        """Raise `ValueError` where this schedule can't run this network. Called before a pass."""
        self.cut(coder)
        if reason := self.refusal(coder):
            raise ValueError(
                f"got {self}, but this model can't be cut so: {reason}; "
                "use Whole(), or Windows() as its authors do"
            )

    def check_gradient(self, coder: CoderPass, clip: Tensor) -> Tensor:
        """The clip, or a chunk of it; raises `RuntimeError` where it can't carry its gradient."""
        if not self.carries_gradients and records_gradient(coder, clip):
            raise RuntimeError(
                f"got {self} where a gradient would be recorded; only Whole and Windows carry "
                "gradients: use one of these, or torch.no_grad() and frozen parameters"
            )
        return clip


def records_gradient(coder: CoderPass, clip: Tensor) -> bool:
    """Whether a pass of this clip would record a gradient."""
    if not torch.is_grad_enabled():
        return False
    return clip.requires_grad or any(weight.requires_grad for weight in coder.module.parameters())


def over_tiles(
    run: Callable[[Tensor, tuple[int, int]], Tensor],
    coder: CoderPass,
    clip: Tensor,
    tiles: Tiles | None,
) -> Tensor:
    """`run(clip, (0, 0))`, or `run(tile, (row, column))` over the tiles."""
    if tiles is None:
        return run(clip, (0, 0))
    compression = max(coder.pixels_in, coder.pixels_out)
    size, overlap = (n * coder.pixels_in // compression for n in (tiles.size, tiles.overlap))
    scale = coder.pixels_out, coder.pixels_in
    return run_tiled(run, clip, size, overlap, scale, tiles.stop_at_border)


class Output:
    """The result of a pass, allocated once, with the first chunk."""

    def __init__(self, frames: int, like: Tensor):
        self.frames, self.like, self.filled = frames, like, 0
        self.video: Tensor | None = None

    def append(self, chunk: Tensor) -> None:
        if self.video is None:
            b, c, _, h, w = chunk.shape
            self.video = self.like.new_empty(b, c, self.frames, h, w)
        self.video[:, :, self.filled : self.filled + chunk.shape[2]] = chunk
        self.filled += chunk.shape[2]

    def whole(self) -> Tensor:
        assert self.video is not None
        assert self.filled == self.frames
        return self.video


def check_piece_frames(name: str, frames: object) -> None:
    """Raise `ValueError` unless `frames` is a number of frames that a piece can have."""
    if not isinstance(frames, int) or isinstance(frames, bool) or frames < 2:
        raise ValueError(
            f"got {name}={frames!r}; it is a whole number of video frames, 1 + 4k and at least 5 "
            "for networks that compress time 4 times: try 17"
        )


def check_band_rows(rows: object) -> None:
    """Raise `ValueError` unless `rows` is None or a number of rows that a band can have."""
    if rows is not None and (not isinstance(rows, int) or isinstance(rows, bool) or rows < 1):
        raise ValueError(
            f"got rows={rows!r}; it is a whole number of rows of the video's picture, at least 1, "
            "or None for whole pictures: try 96"
        )


def count_band_rows(rows: int, height: int, map_height: int) -> int:
    """Rows of a band of a map, with as many positions as `rows` of a video of `height` have."""
    return max(1, rows * height // map_height)


def cut_clip(clip: Tensor, first: int, later: int) -> Iterator[Tensor]:
    """Views of the clip: `first` frames, then `later` at a time."""
    yield clip[:, :, :first]
    for start in range(first, clip.shape[2], later):
        yield clip[:, :, start : start + later]


def count_chunks(frames: int, first: int, later: int) -> int:
    return 1 + max(0, -(-(frames - first) // later))


def recut(chunks: Iterable[Tensor], first: int, later: int) -> Iterator[Tensor]:
    """Regroup chunks of any length into `first`, then `later` frames; the last may be shorter."""
    held: list[Tensor] = []
    wanted = first
    for chunk in chunks:
        while chunk.shape[2]:
            missing = wanted - sum(piece.shape[2] for piece in held)
            held.append(chunk[:, :, :missing])
            chunk = chunk[:, :, missing:]
            if held[-1].shape[2] == missing:
                yield torch.cat(held, dim=2)
                held, wanted = [], later
    if held:
        yield torch.cat(held, dim=2)


def mark_last(chunks: Iterable[Tensor]) -> Iterator[tuple[Tensor, bool]]:
    """Each chunk, and whether it is the last; reads one chunk ahead."""
    held: Tensor | None = None
    for chunk in chunks:
        if held is not None:
            yield held, False
        held = chunk
    if held is not None:
        yield held, True
