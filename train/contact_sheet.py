"""The contact sheet of an evaluation: clips, their reconstructions, and their differences."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor

from odvae_core.files.atomic import replacing
from odvae_core.layers.conv import per_frame
from odvae_core.metrics import psnr, quantize

GAIN = 4
"""Differences are multiplied by this; black means no difference."""
ROWS = 12
"""The largest number of clips on a sheet; of more clips, evenly spaced ones are drawn."""
MOST_WIDE = 1600
GAP, CAPTION = 4, 18
"""Pixels between pictures, and the height of the caption below each."""
DPI = 100


def draw_contact_sheet(crops: Tensor, reconstructions: Tensor, path: Path) -> None:
    """Write a PNG with a row for each clip: at some frames original, reconstruction, difference.

    Both [N, 3, T, H, W] in [-1, 1]; the PSNR is that of the frame, rounded to 8 bits. The file is
    written atomically; its folder is created. Raises ValueError where the shapes differ.
    """
    if crops.shape != reconstructions.shape or not len(crops):
        raise ValueError(
            f"got crops of {list(crops.shape)} and reconstructions of "
            f"{list(reconstructions.shape)}; a sheet takes one of each, at least one"
        )
    rows = torch.linspace(0, len(crops) - 1, min(ROWS, len(crops))).round().long()
    frames = choose_frames(crops.shape[2])
    pair = [quantize(clips[rows][:, :, frames].cpu()) for clips in (crops, reconstructions)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(compose_sheet(*pair, frames))


def choose_frames(count: int) -> list[int]:
    """The first frame, one inside the middle group of four, and the last."""
    groups = (count - 1) // 4
    return sorted({0, 1 + groups // 2 * 4 + 1 if groups else 0, count - 1})


def compose_sheet(crops: Tensor, reconstructions: Tensor, frames: list[int]) -> bytes:
    """The PNG of clips [N, 3, T, H, W] that consist of the frames with these numbers."""
    values = psnr(reconstructions, crops)
    difference = (reconstructions - crops).abs() * GAIN / 2  # on [0, 1], as the pixels would be
    columns = torch.stack([(crops + 1) / 2, (reconstructions + 1) / 2, difference.clamp(0, 1)], 3)
    pictures = fit_width(columns.flatten(2, 3))
    count, _, across, height, width = pictures.shape
    size = across * (width + GAP) - GAP, count * (height + CAPTION)
    figure = Figure((size[0] / DPI, size[1] / DPI), dpi=DPI, facecolor="white")
    for row, column in torch.cartesian_prod(torch.arange(count), torch.arange(across)).tolist():
        left, bottom = column * (width + GAP), size[1] - row * (height + CAPTION) - height
        picture = pictures[row, :, column].movedim(0, -1).numpy()
        figure.figimage(picture, left, bottom, origin="upper")
        frame, kind = divmod(column, 3)
        text = (f"frame {frames[frame]}", f"{values[row, frame]:.1f} dB", f"difference x{GAIN}")
        figure.text(left / size[0], (bottom - CAPTION + 5) / size[1], text[kind], fontsize=6)
    file = BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def fit_width(pictures: Tensor) -> Tensor:
    """Shrink [N, 3, columns, H, W] so that a row is at most MOST_WIDE pixels wide."""
    across, width = pictures.shape[2], pictures.shape[-1]
    room = (MOST_WIDE + GAP) // across - GAP
    if width <= room:
        return pictures
    scale = room / width
    size = (max(1, round(pictures.shape[-2] * scale)), room)
    return per_frame(lambda x: F.interpolate(x, size, mode="area"), pictures)
