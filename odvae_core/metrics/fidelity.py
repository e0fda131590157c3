"""PSNR, SSIM and flicker of video [B, 3, T, H, W] in [-1, 1], per frame and in float64.

Every value belongs to a frame or a pair of frames, so a clip can be measured in chunks and the
values concatenated; `flicker` also needs the last frame of the previous chunk. Values are not
clamped or rounded: call `quantize` first to measure what an 8-bit file holds.
"""

import math
from collections import defaultdict

import torch
from einops import rearrange
from torch import Tensor

WINDOW, SIGMA = 11, 1.5  # the Gaussian window of SSIM (Wang et al. 2004)
_RAW = [math.exp(-((i - WINDOW // 2) ** 2) / (2 * SIGMA**2)) for i in range(WINDOW)]
GAUSSIAN = tuple(weight / sum(_RAW) for weight in _RAW)
C1, C2 = 0.01**2, 0.03**2  # its constants, for a data range of 1

MAX_PSNR = 100.0
"""PSNR in dB that reports use for identical frames, so that means stay finite."""


def quantize(video: Tensor) -> Tensor:
    """What an 8-bit file holds of a video: clamped to [-1, 1], rounded to 256 levels; float32."""
    return video.float().add(1).mul(127.5).round().clamp(0, 255).div(127.5).sub(1)


def psnr(video: Tensor, reference: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB, [B, T]: 10 log10(1 / MSE) with pixels in [0, 1].

    The MSE of a frame is the mean over channels and pixels. Identical frames have PSNR inf.
    """
    video, reference = _to_unit_range(video, reference)
    error = (video - reference).square().mean(dim=(1, 3, 4))
    return -10 * error.log10()


def ssim(video: Tensor, reference: Tensor) -> Tensor:
    """Structural similarity, [B, T]; identical frames have 1.

    A Gaussian window of 11x11 with sigma 1.5, without padding; the mean over positions and
    channels. ValueError: sides shorter than the window.
    """
    video, reference = _to_unit_range(video, reference)
    batch, channels, frames, height, width = video.shape
    if min(height, width) < WINDOW:
        raise ValueError(f"got frames of {height}x{width}; SSIM takes sides of {WINDOW} or more")
    planes = (rearrange(clip, "b c t h w -> (b t c) h w") for clip in (video, reference))
    values = torch.stack([_similarity(x, y) for x, y in zip(*planes, strict=True)])
    return values.view(batch, frames, channels).mean(dim=-1)


def flicker(video: Tensor, reference: Tensor) -> Tensor:
    """The error of the change from frame to frame, [B, T - 1]; 0 if the video changes as the
    reference.

    Mean over channels and pixels of |(v[t+1] - v[t]) - (r[t+1] - r[t])|, with pixels in [0, 1]. A
    constant error costs nothing; an error that appears and disappears costs its size each time.
    """
    video, reference = _to_unit_range(video, reference)
    return (video.diff(dim=2) - reference.diff(dim=2)).abs().mean(dim=(1, 3, 4))


METRICS = {"psnr": psnr, "ssim": ssim, "flicker": flicker}


class MetricCollector:
    """Collects metrics per frame of the chunks of a clip, or of several clips, in float64.

    `names` selects from `METRICS`. PSNR is clamped to `max_psnr` dB. `values` holds the tensors
    [B, T] of every metric, in the order in which they were added.
    """

    def __init__(self, names: tuple[str, ...] = tuple(METRICS), max_psnr: float = math.inf):
        self.names, self.max_psnr = names, max_psnr
        self.values: defaultdict[str, list[Tensor]] = defaultdict(list)

    def add(self, video: Tensor, reference: Tensor, overlap: int = 0) -> None:
        """Measure a chunk [B, 3, T, H, W] in [-1, 1] against its reference.

        Its first `overlap` frames were measured with the previous chunk; only flicker uses them.
        """
        new = video[:, :, overlap:], reference[:, :, overlap:]
        for name in self.names:
            values = METRICS[name](*((video, reference) if name == "flicker" else new))
            self.add_values(name, values.clamp(max=self.max_psnr) if name == "psnr" else values)

    def add_values(self, name: str, values: Tensor) -> None:
        """Add the values [B, T] of another metric."""
        self.values[name].append(values.double())

    def per_frame(self, name: str) -> list[float]:
        """All values of a metric in the order of the frames."""
        return [value for values in self.values[name] for value in values.flatten().tolist()]

    def means(self) -> dict[str, float]:
        """The mean of every metric over all its values."""
        return {
            name: float(torch.cat([value.flatten() for value in values]).mean())
            for name, values in self.values.items()
        }


def _to_unit_range(video: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Both clips in [0, 1] and float64. ValueError: shapes that are no video, or differ."""
    if video.ndim != 5 or video.shape != reference.shape:
        raise ValueError(
            f"got shapes {list(video.shape)} and {list(reference.shape)}; "
            "compare two videos of one shape [B, C, T, H, W]"
        )
    return (video.double() + 1) / 2, (reference.double() + 1) / 2


def _similarity(x: Tensor, y: Tensor) -> Tensor:
    """The mean structural similarity of two planes [H, W]: one at a time stays in the cache."""
    mean_x, mean_y = _blur(x), _blur(y)
    squares, product = mean_x.square() + mean_y.square(), mean_x * mean_y
    variances = _blur(x * x + y * y) - squares
    covariance = _blur(x * y) - product
    likeness = (2 * product + C1) * (2 * covariance + C2)
    return (likeness / ((squares + C1) * (variances + C2))).mean()


def _blur(plane: Tensor) -> Tensor:
    """[H, W] -> the Gaussian mean of every inner window, [H - 10, W - 10]."""
    for dim in (0, 1):
        inner = plane.shape[dim] - WINDOW + 1
        total = plane.narrow(dim, 0, inner) * GAUSSIAN[0]
        for start, weight in enumerate(GAUSSIAN[1:], 1):
            total.add_(plane.narrow(dim, start, inner), alpha=weight)
        plane = total
    return plane
