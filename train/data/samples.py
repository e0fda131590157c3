"""The endless training set: each sample is a function of (seed, step, index) alone."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from ..config_data import DataConfig
from ..dice import Dice
from ..render import render
from .augmenting import AUGMENTS
from .clips import BrokenClipError, Skip, enlarge_or_shrink
from .cutting import draw_cut
from .pools import Pool, Source, describe, make_pool

ATTEMPTS = 20  # clips that are tried for one sample


class BrokenDataError(RuntimeError):
    """Too many of the clips can't be read to go on."""


@dataclass(frozen=True)
class Batch:
    """A process's part of a step: video [B, 3, T, H, W] in [-1, 1].

    `indices`: the samples' places in the global batch. `skipped`: clips that were left out.
    """

    step: int
    video: Tensor
    indices: range
    skipped: tuple[Skip, ...]


class Samples:
    """Cuts of clips and rendered motion, drawn by key.

    `broken`: clips that were found unreadable beforehand. `manifest_hash`: the sha256 of the list.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        config: DataConfig,
        seed: int,
        broken: Sequence[Skip] = (),
        manifest_hash: str = "",
    ):
        self.sources, self.config, self.seed = sources, config, seed
        self.broken, self.manifest_hash = tuple(broken), manifest_hash
        self.pools: dict[tuple[int, int], Pool] = {}

    def pool(self, frames: int, size: int) -> Pool:
        """The clips that are long and large enough. Raises ConfigError: there is none."""
        if (frames, size) not in self.pools:
            stride = self.config.strides[0]
            self.pools[frames, size] = make_pool(self.sources, frames, size, stride)
        return self.pools[frames, size]

    def batch(self, step: int, indices: range, frames: int, size: int) -> Batch:
        """The samples of these places in the global batch, the same whenever they are asked for.

        Clips that break while they are read are replaced by others, and named. Raises
        BrokenDataError where that doesn't end.
        """
        skipped: list[Skip] = []
        with one_thread(), hush():
            videos = [self.sample(step, index, frames, size, skipped) for index in indices]
        return Batch(step, torch.stack(videos), indices, tuple(dict.fromkeys(skipped)))

    def sample(self, step: int, index: int, frames: int, size: int, skipped: list[Skip]) -> Tensor:
        """One sample, [3, T, size, size] in [-1, 1]; `skipped` takes the clips that broke."""
        tried = []
        for attempt in range(ATTEMPTS):
            dice = Dice(self.seed, step, index, attempt)
            try:
                video = self.draw(dice, frames, size)
            except BrokenClipError as error:
                tried.append(error.skip)
                continue
            skipped += tried
            return AUGMENTS[self.config.augment](dice, video) * 2 - 1
        raise BrokenDataError(
            f"{ATTEMPTS} clips in a row could not be read for one sample: {describe(tried)}; "
            "check data.path"
        )

    def draw(self, dice: Dice, frames: int, size: int) -> Tensor:
        """A rendered clip or a cut of a real one, [3, T, size, size] in [0, 1]."""
        if dice.chance(self.config.rendered):
            return render(dice, frames, size, self.draw_still)
        clip = self.pool(frames, size).choose(dice)
        return clip.read(draw_cut(dice, self.config, clip.frames, clip.side, frames, size))

    def draw_still(self, dice: Dice, size: int) -> Tensor:
        """A picture to render with, [3, size, size] in [0, 1]; small ones are enlarged."""
        clip = self.pool(1, 1).choose(dice)
        crop = min(size, clip.side)
        cut = draw_cut(dice, self.config, clip.frames, clip.side, 1, crop)
        still = clip.read(cut).transpose(0, 1)
        return (still if crop == size else enlarge_or_shrink(still, size))[0]


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute in one thread: how a sum is split among threads decides its last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def hush() -> Iterator[None]:
    """Leave out what the reader logs of a file: its probing has said it once."""
    reader = logging.getLogger("odvae_core.video")
    level = reader.level
    reader.setLevel(logging.ERROR)
    try:
        yield
    finally:
        reader.setLevel(level)
