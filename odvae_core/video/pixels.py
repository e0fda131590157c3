"""Between the 8-bit pixels of files and the [-1, 1] video of networks."""

import numpy as np
import torch
from av.video.reformatter import Interpolation
from torch import Tensor

# Without FULL_CHR_H_INT swscale turns limited-range white into 253.
SCALER = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)


def to_bytes(video: Tensor) -> Tensor:
    """[-1, 1] -> uint8, rounded to the nearest level; what lies outside the range is clamped."""
    return video.float().add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)


def from_bytes(pixels: Tensor) -> Tensor:
    """uint8 -> float32 in [-1, 1]."""
    return pixels.float().div_(127.5).sub_(1)


def to_video(pictures: list[np.ndarray]) -> Tensor:
    """Pictures of uint8 [H, W, 3] -> float32 [1, 3, T, H, W] in [-1, 1]."""
    return from_bytes(torch.from_numpy(np.stack(pictures)).permute(3, 0, 1, 2)).unsqueeze(0)


def to_pictures(video: Tensor) -> np.ndarray:
    """[1, 3, T, H, W] in [-1, 1] -> uint8 [T, H, W, 3]."""
    return to_bytes(video)[0].permute(1, 2, 3, 0).contiguous().cpu().numpy()
