"""The endless training set: each sample is a function of (seed, step, index)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from ..config import DataConfig
from ..keyed_random import KeyedRandom
from .augmenting import AUGMENTATIONS
from .clips import BrokenClipError, FileClip, SkippedClip, draw_crop_spec, resize_to_square
from .pools import ClipPool, Source, describe_skipped, make_pool
from .render import render_clip

ATTEMPTS = 20  # clips that are tried for one sample


class BrokenDataError(RuntimeError):
    """Too many of the clips can't be read."""


@dataclass(frozen=True)
class Batch:
    """A process's part of a step's batch: video [B, 3, T, H, W] in [-1, 1].

    `indices`: the samples' positions in the global batch. `skipped`: clips that are not used.
    """

    step: int
    video: Tensor
    indices: range
    skipped: tuple[SkippedClip, ...]


class TrainingSet:
    """Crops of clips and rendered motion, drawn with a random key for each sample.

    `broken`: clips that are known to be unreadable. `manifest_hash`: the sha256 of the list.
    `held_out`: the clips for evaluations, of which no sample is drawn.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        config: DataConfig,
        seed: int,
        broken: Sequence[SkippedClip] = (),
        manifest_hash: str = "",
        held_out: Sequence[FileClip] = (),
    ):
        self.sources, self.config, self.seed = sources, config, seed
        self.broken, self.manifest_hash = tuple(broken), manifest_hash
        self.held_out = tuple(held_out)
        self.pools: dict[tuple[int, int], ClipPool] = {}

    def pool_for(self, frames: int, size: int) -> ClipPool:
        """The clips that are long and large enough. Raises ConfigError where there is none."""
        if (frames, size) not in self.pools:
            stride = self.config.strides[0]
            self.pools[frames, size] = make_pool(self.sources, frames, size, stride)
        return self.pools[frames, size]

    def draw_batch(self, step: int, indices: range, frames: int, size: int) -> Batch:
        """The samples at these positions in a step's global batch; every call gives the same.

        Clips that can't be read are replaced by others, and named in the batch. Raises
        BrokenDataError where too many of them can't be read.
        """
        skipped: list[SkippedClip] = []
        with one_thread(), reader_silenced():
            videos = [self.draw_sample(step, index, frames, size, skipped) for index in indices]
        return Batch(step, torch.stack(videos), indices, tuple(dict.fromkeys(skipped)))

    def draw_sample(
        self, step: int, index: int, frames: int, size: int, skipped: list[SkippedClip]
    ) -> Tensor:
        """One sample, [3, T, size, size] in [-1, 1]; unreadable clips are appended to `skipped`."""
        tried = []
        for attempt in range(ATTEMPTS):
            rng = KeyedRandom(self.seed, step, index, attempt)
            try:
                video = self.draw_video(rng, frames, size)
            except BrokenClipError as error:
                tried.append(error.skip)
                continue
            skipped += tried
            return AUGMENTATIONS[self.config.augment](rng, video) * 2 - 1
        raise BrokenDataError(
            f"{ATTEMPTS} clips in a row could not be read for one sample: "
            f"{describe_skipped(tried)}; check data.path"
        )

    def draw_video(self, rng: KeyedRandom, frames: int, size: int) -> Tensor:
        """A rendered clip or a crop of a real one, [3, T, size, size] in [0, 1]."""
        if rng.chance(self.config.rendered):
            return render_clip(rng, frames, size, self.draw_still)
        clip = self.pool_for(frames, size).choose(rng)
        spec = draw_crop_spec(rng, self.config, clip.frames, clip.side, frames, size)
        return clip.read(spec)

    def draw_still(self, rng: KeyedRandom, size: int) -> Tensor:
        """A frame to render with, [3, size, size] in [0, 1]; small ones are enlarged."""
        clip = self.pool_for(1, 1).choose(rng)
        crop = min(size, clip.side)
        spec = draw_crop_spec(rng, self.config, clip.frames, clip.side, 1, crop)
        still = clip.read(spec).transpose(0, 1)
        return (still if crop == size else resize_to_square(still, size))[0]


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one thread: the number of threads changes the rounding of sums."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def reader_silenced() -> Iterator[None]:
    """Suppress the reader's warnings about a file, which were logged when it was probed."""
    reader = logging.getLogger("odvae_core.video")
    level = reader.level
    reader.setLevel(logging.ERROR)
    try:
        yield
    finally:
        reader.setLevel(level)
