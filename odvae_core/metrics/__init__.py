"""Metrics of a reconstruction against its clip: per frame, per clip and for sets of clips.

Videos are [B, 3, T, H, W] in [-1, 1]. Networks are loaded from local files; nothing is downloaded.
"""

from .distances import frechet_distance, inception_score, kernel_distance
from .features import Features, load_features
from .fidelity import MAX_PSNR, MetricCollector, flicker, psnr, quantize, ssim
from .perceptual import Lpips, load_lpips, random_lpips
from .streaming import SetStatistics, compare_sets
from .structure import BorderError, border_error, by_position
from .trunks import pack_trunk

__all__ = [
    "MAX_PSNR",
    "BorderError",
    "Features",
    "Lpips",
    "MetricCollector",
    "SetStatistics",
    "border_error",
    "by_position",
    "compare_sets",
    "flicker",
    "frechet_distance",
    "inception_score",
    "kernel_distance",
    "load_features",
    "load_lpips",
    "pack_trunk",
    "psnr",
    "quantize",
    "random_lpips",
    "ssim",
]
