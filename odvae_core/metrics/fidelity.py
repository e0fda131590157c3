"""PSNR, SSIM and flicker of video [B, 3, T, H, W] in [-1, 1], per frame and in float64.

Every figure belongs to a frame (or a pair of frames), so a clip can be measured chunk by chunk and
the figures joined; give `flicker` the last frame of the chunk before as well. Nothing is clamped or
rounded here: `quantize` first to measure what a file would hold.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

WINDOW, SIGMA = 11, 1.5  # the gaussian window of SSIM (Wang et al. 2004)
C1, C2 = 0.01**2, 0.03**2  # its constants, for a data range of 1


def quantize(video: Tensor) -> Tensor:
    """What an 8-bit file holds of a video: clamped to [-1, 1], rounded to 256 levels; float32."""
    return video.float().add(1).mul(127.5).round().clamp(0, 255).div(127.5).sub(1)


def psnr(video: Tensor, reference: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB, [B, T]: 10 log10(1 / MSE) with the pixels on [0, 1].

    The MSE is a frame's, over channels and pixels. Identical frames give inf.
    """
    video, reference = _to_unit_range(video, reference)
    error = (video - reference).square().mean(dim=(1, 3, 4))
    return -10 * error.log10()


def ssim(video: Tensor, reference: Tensor) -> Tensor:
    """Structural similarity, [B, T]: 1 for identical frames.

    Gaussian window of 11x11 with sigma 1.5, only where it fits wholly into the frame, the mean over
    positions and channels. ValueError: sides shorter than the window.
    """
    video, reference = _to_unit_range(video, reference)
    batch, _, frames, height, width = video.shape
    if min(height, width) < WINDOW:
        raise ValueError(f"got frames of {height}x{width}; SSIM takes sides of {WINDOW} or more")
    x, y = (rearrange(clip, "b c t h w -> (b c t) 1 h w") for clip in (video, reference))
    mean_x, mean_y = _blur(x), _blur(y)
    variance_x = _blur(x * x) - mean_x.square()
    variance_y = _blur(y * y) - mean_y.square()
    covariance = _blur(x * y) - mean_x * mean_y
    likeness = (2 * mean_x * mean_y + C1) * (2 * covariance + C2)
    likeness /= (mean_x.square() + mean_y.square() + C1) * (variance_x + variance_y + C2)
    return rearrange(likeness, "(b c t) 1 h w -> b t (c h w)", b=batch, t=frames).mean(dim=-1)


def flicker(video: Tensor, reference: Tensor) -> Tensor:
    """How wrongly a video changes from frame to frame, [B, T - 1]: 0 where it moves as it should.

    mean over channels and pixels of |(v[t+1] - v[t]) - (r[t+1] - r[t])|, with the pixels on [0, 1].
    An error that stands still costs nothing, one that comes and goes costs its size each time.
    """
    video, reference = _to_unit_range(video, reference)
    return (video.diff(dim=2) - reference.diff(dim=2)).abs().mean(dim=(1, 3, 4))


def _to_unit_range(video: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Both clips on [0, 1] in float64. ValueError: shapes that are no video, or differ."""
    if video.ndim != 5 or video.shape != reference.shape:
        raise ValueError(
            f"got shapes {list(video.shape)} and {list(reference.shape)}; "
            "compare two videos of one shape [B, C, T, H, W]"
        )
    return (video.double() + 1) / 2, (reference.double() + 1) / 2


def _blur(pictures: Tensor) -> Tensor:
    """[N, 1, H, W] -> the gaussian means of every window that fits, [N, 1, H - 10, W - 10]."""
    offsets = torch.arange(WINDOW, dtype=pictures.dtype, device=pictures.device) - WINDOW // 2
    weights = torch.exp(-offsets.square() / (2 * SIGMA**2))
    weights /= weights.sum()
    rows = F.conv2d(pictures, weights.view(1, 1, -1, 1))
    return F.conv2d(rows, weights.view(1, 1, 1, -1))
