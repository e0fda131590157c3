"""A sheet of clips: a row for each, some frames of it side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib import image
from torch import Tensor

from odvae_core.files.atomic import replacing

COLUMNS, GAP = 6, 2
"""The largest number of frames of a clip, and the pixels between pictures."""


def draw_clips(clips: Tensor, path: Path) -> None:
    """Write clips [N, 3, T, H, W] in [-1, 1] as a PNG; the file's folder is created."""
    count, _, length, height, width = clips.shape
    frames = torch.linspace(0, length - 1, min(COLUMNS, length)).round().long()
    chosen = ((clips[:, :, frames] + 1) / 2).clamp(0, 1)
    sheet = np.ones((count * (height + GAP), len(frames) * (width + GAP), 3), np.float32)
    for row, clip in enumerate(chosen):
        for column, frame in enumerate(clip.unbind(1)):
            top, left = row * (height + GAP), column * (width + GAP)
            sheet[top : top + height, left : left + width] = frame.movedim(0, -1).numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        image.imsave(temporary, sheet, format="png")
