"""Training samples: crops of real clips mixed with rendered motion, each a function of its key."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from odvae_core.video import VideoReader

from .config import ConfigError, DataConfig
from .dice import Dice
from .render import render

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Clip:
    """One decoded clip: the same frames at several sizes, large to small.

    `levels`: uint8 [T, 3, H, W] each.
    """

    name: str
    levels: tuple[Tensor, ...]

    @property
    def frames(self) -> int:
        """Count of frames."""
        return len(self.levels[0])


def load_clip(path: Path, kept_sides: tuple[int, ...]) -> Clip:
    """Decode a clip once and keep it at these short sides, none above its own."""
    with VideoReader(path) as reader:
        native = min(reader.size)
    largest = min(native, max(kept_sides))
    with VideoReader(path, short_side=largest) as reader:
        pieces = [to_bytes(chunk.video) for chunk in reader.chunks(16)]
    levels = [torch.cat(pieces)]
    for side in sorted(kept_sides, reverse=True):
        if side < largest:
            levels.append(shrink(levels[0], side))
    return Clip(path.name, tuple(levels))


def to_bytes(video: Tensor) -> Tensor:
    """[1, 3, T, H, W] in [-1, 1] -> uint8 [T, 3, H, W]."""
    return ((video[0] + 1) * 127.5).round().clamp(0, 255).byte().transpose(0, 1).contiguous()


def load_footage(config: DataConfig) -> Footage:
    """Decode the configuration's clips. Raises ConfigError where it names none."""
    if not config.clips:
        raise ConfigError("data.clips is empty; name the files of data.path to train on")
    clips = [load_clip(Path(config.path) / name, config.kept_sides) for name in config.clips]
    for clip in clips:
        log.info(
            "%s: %d frames at short sides %s",
            clip.name,
            clip.frames,
            [short_side(x) for x in clip.levels],
        )
    return Footage(clips, config)


def short_side(video: Tensor) -> int:
    """The smaller of height and width, [..., H, W]."""
    return min(video.shape[-2:])


def shrink(video: Tensor, side: int) -> Tensor:
    """Scale a clip [T, 3, H, W] until its short side is `side`, antialiased, uint8 to uint8."""
    height, width = video.shape[-2:]
    factor = side / min(height, width)
    size = (max(side, round(height * factor)), max(side, round(width * factor)))
    resized = [
        F.interpolate(part.float(), size, mode="bicubic", antialias=True)
        for part in video.split(16)
    ]
    return torch.cat([part.round().clamp(0, 255).byte() for part in resized])


def crop_resized(video: Tensor, side: float, size: int, dice: Dice) -> Tensor:
    """A random square of `size` pixels out of [T, 3, H, W] as if the short side were `side`.

    uint8 in, float [T, 3, size, size] in [0, 1] out.
    """
    height, width = video.shape[-2:]
    window = min(round(size * short_side(video) / side), height, width)
    top, left = dice.integer(0, height - window), dice.integer(0, width - window)
    cut = video[..., top : top + window, left : left + window].float() / 255
    if window == size:
        return cut
    return F.interpolate(cut, (size, size), mode="bicubic", antialias=True).clamp(0, 1)


class Footage:
    """Real clips in memory, drawn from by length."""

    def __init__(self, clips: list[Clip], config: DataConfig):
        self.clips, self.config = clips, config
        self.weights = torch.tensor([clip.frames for clip in clips], dtype=torch.float64)

    def choose_clip(self, dice: Dice) -> Clip:
        """Draw a clip with a probability in proportion to its length."""
        index = torch.multinomial(self.weights, 1, generator=dice.generator)
        return self.clips[int(index)]

    def choose_level(self, clip: Clip, dice: Dice, size: int) -> tuple[Tensor, float]:
        """Draw the short side that the crop is cut at, and the stored frames next above it."""
        largest = min(self.config.max_side, short_side(clip.levels[0]))
        side = dice.log_uniform(max(size, self.config.min_side), max(largest, size + 1))
        fitting = [level for level in clip.levels if short_side(level) >= side]
        return (fitting or clip.levels[:1])[-1], side

    def draw(self, dice: Dice, frames: int, size: int) -> Tensor:
        """One crop of a clip, [3, T, size, size] in [0, 1]."""
        clip = self.choose_clip(dice)
        longest = (clip.frames - 1) // max(1, frames - 1)
        stride = dice.integer(1, min(self.config.max_stride, longest))
        start = dice.integer(0, clip.frames - 1 - stride * (frames - 1))
        level, side = self.choose_level(clip, dice, size)
        picked = level[start : start + stride * (frames - 1) + 1 : stride]
        return crop_resized(picked, side, size, dice).transpose(0, 1)

    def draw_still(self, dice: Dice, size: int) -> Tensor:
        """One picture, [3, size, size] in [0, 1]."""
        return self.draw(dice, 1, size)[:, 0]


def vary_colours(dice: Dice, video: Tensor) -> Tensor:
    """Channel order, saturation, contrast, brightness and gamma of [3, T, H, W] in [0, 1]."""
    if dice.chance(0.3):
        video = video[dice.permutation(3)]
    if dice.chance(0.5):
        grey = video.mean(0, keepdim=True)
        video = torch.lerp(grey, video, dice.log_uniform(0.5, 2.0))
        video = (video - 0.5) * dice.uniform(0.7, 1.2) + 0.5 + dice.uniform(-0.1, 0.1)
        video = video.clamp(0, 1) ** dice.log_uniform(0.75, 1.33)
    return video.clamp(0, 1)


def vary_geometry(dice: Dice, video: Tensor) -> Tensor:
    """Mirror, transpose and reverse [3, T, H, W]."""
    flips = [axis for axis in (1, 2, 3) if dice.chance(0.5)]
    video = video.flip(flips)
    return video.transpose(2, 3) if dice.chance(0.5) else video


class Samples:
    """The endless training set: `batch(step)` is the same tensor whenever it is asked for."""

    def __init__(self, footage: Footage, config: DataConfig, seed: int):
        self.footage, self.config, self.seed = footage, config, seed

    def sample(self, step: int, index: int, frames: int, size: int) -> Tensor:
        """One sample, [3, T, size, size] in [-1, 1]."""
        dice = Dice(self.seed, step, index)
        if dice.chance(self.config.rendered):
            video = render(dice, frames, size, self.footage.draw_still)
        else:
            video = self.footage.draw(dice, frames, size)
        return vary_colours(dice, vary_geometry(dice, video)) * 2 - 1

    def batch(self, step: int, indices: range, frames: int, size: int) -> Tensor:
        """The samples of these places in the global batch, [B, 3, T, size, size] in [-1, 1]."""
        return torch.stack([self.sample(step, index, frames, size) for index in indices])
