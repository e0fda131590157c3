"""Geometry of frames: orientation, square pixels, resizing and cropping."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from av import VideoFrame
from av.video.reformatter import Interpolation

from ..limits import LARGEST_PICTURE, check_picture

Size = tuple[int, int]  # height, width

UPRIGHT = (False, False, False)

# Without FULL_CHR_H_INT swscale turns limited-range white into 253.
SCALER = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)


def read_orientation(frame: VideoFrame) -> tuple[bool, bool, bool]:
    """How a frame is turned for display: (transpose first, then flip rows, flip columns).

    Read from the display matrix, whose entries a, b, c, d map x' = a x + c y, y' = b x + d y.
    ValueError: the matrix isn't a multiple of 90 degrees, with or without a mirror.
    """
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return UPRIGHT
    a, b, _, c, d = np.sign(np.frombuffer(bytes(data), np.int32)[:5]).tolist()
    if a and d and not b and not c:
        return False, d < 0, a < 0
    if b and c and not a and not d:
        return True, b < 0, c < 0
    raise ValueError("its display matrix doesn't rotate the picture by a multiple of 90 degrees")


@dataclass(frozen=True)
class Geometry:
    """The steps from a decoded frame to a delivered frame.

    scaled is the size after scaling, before the rotation; window is the crop after it, (top, left,
    height, width).
    """

    scaled: Size
    orientation: tuple[bool, bool, bool]
    window: tuple[int, int, int, int]

    @property
    def size(self) -> Size:
        return self.window[2:]

    def orient_and_crop(self, picture: np.ndarray) -> np.ndarray:
        """[H, W, 3] as scaled -> [h, w, 3] as delivered."""
        transposed, flip_rows, flip_columns = self.orientation
        if transposed:
            picture = picture.swapaxes(0, 1)
        picture = picture[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]
        top, left, height, width = self.window
        return picture[top : top + height, left : left + width]


def plan_geometry(
    frame: VideoFrame,
    pixel_aspect: Fraction,
    short_side: int | None,
    size: Size | None,
    crop: Size | int | None,
    pixels: int = LARGEST_PICTURE,
) -> Geometry:
    """The geometry of a clip with this first frame of at most `pixels` pixels.

    ValueError: options that do not fit it, or a picture that is too large.
    """
    orientation = read_orientation(frame)
    coded = (frame.height, max(1, round(frame.width * pixel_aspect)))
    check_picture(*coded, pixels)
    resized = _resize(_swap_if(orientation[0], coded), short_side, size)
    check_picture(*resized)
    scaled = _swap_if(orientation[0], resized)
    return Geometry(scaled, orientation, _centre(resized, crop))


def _swap_if(transposed: bool, size: Size) -> Size:
    return (size[1], size[0]) if transposed else size


def _resize(shown: Size, short_side: int | None, size: Size | None) -> Size:
    if short_side is not None:
        height, width = (max(1, round(side * short_side / min(shown))) for side in shown)
        size = height, width
    size = size or shown
    if min(size) < 1:
        raise ValueError(f"got the size {size[0]}x{size[1]} to resize to; sides are 1 or more")
    return size


def _centre(size: Size, crop: Size | int | None) -> tuple[int, int, int, int]:
    """The centred window of a size: exactly `crop`, or the largest whose sides are multiples of
    it."""
    height, width = size
    if isinstance(crop, int):
        crop = (height // crop * crop, width // crop * crop) if crop > 0 else (0, 0)
    tall, wide = crop or size
    if not (0 < tall <= height and 0 < wide <= width):
        raise ValueError(
            f"cannot crop {tall}x{wide} out of {height}x{width}; "
            "use a smaller crop, or resize to more with short_side or size"
        )
    return (height - tall) // 2, (width - wide) // 2, tall, wide
