"""What a sample shows of a clip: which frames, scaled how far, and which square of them."""

from __future__ import annotations

from dataclasses import dataclass

from ..config_data import DataConfig
from ..dice import Dice


@dataclass(frozen=True)
class Cut:
    """`frames` frames from `start` on, `stride` apart, at a short side of `side` pixels.

    Of these a square of `size` pixels, so far down and to the right in the spare room; None: from
    the centre.
    """

    start: int
    frames: int
    stride: int
    side: int
    size: int
    place: tuple[float, float] | None

    def corner(self, height: int, width: int, window: int) -> tuple[int, int]:
        """The upper left corner of a window in a picture; every place there is, is as likely."""
        rooms = height - window, width - window
        if self.place is None:
            return rooms[0] // 2, rooms[1] // 2
        top, left = (int(share * (room + 1)) for share, room in zip(self.place, rooms, strict=True))
        return top, left


def find_span(frames: int, stride: int) -> int:
    """How many frames of a clip so many frames reach over."""
    return (frames - 1) * stride + 1


def draw_cut(
    dice: Dice, config: DataConfig, length: int, own_side: int, frames: int, size: int
) -> Cut:
    """A cut of a clip that has `length` frames and the short side `own_side`, at random.

    The last start there is, is drawn like any other; the short side is drawn by its logarithm.
    """
    longest = (length - 1) // (frames - 1) if frames > 1 else 1
    stride = dice.integer(config.strides[0], min(config.strides[1], longest)) if frames > 1 else 1
    start = dice.integer(0, length - find_span(frames, stride))
    smallest, largest = (min(side or own_side, own_side) for side in config.sides)
    side = round(dice.log_uniform(max(size, smallest), max(size, largest)))
    place = (dice.uniform(), dice.uniform()) if config.crop == "random" else None
    return Cut(start, frames, stride, side, size, place)
