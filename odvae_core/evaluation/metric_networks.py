"""Metrics that need weights, loaded from the user's files; a metric without its file is omitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from ..metrics import load_features, load_lpips

METRICS_OF_NETWORKS = {
    "lpips_alex": "LPIPS (alex)",
    "lpips_vgg": "LPIPS (vgg)",
    "i3d": "rFVD and KVD",
    "c3d": "Inception Score",
}
"""Every metric network, and the metrics that need it."""


@dataclass(frozen=True)
class MetricNetworks:
    """Networks that compare clips in [-1, 1] or compute their features.

    `perceptual`: (video, reference) -> [B, T]. `features`: video -> [B, D]. `sha256`: of the files
    of both. The networks run on `device`; results are returned on the CPU.
    """

    perceptual: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = field(default_factory=dict)
    features: Mapping[str, Callable[[Tensor], Tensor]] = field(default_factory=dict)
    sha256: Mapping[str, str] = field(default_factory=dict)
    device: torch.device | str = "cpu"

    def compute_distances(self, video: Tensor, reference: Tensor) -> dict[str, Tensor]:
        """LPIPS of each frame, by the network's name: [B, T]."""
        pair = video.to(self.device), reference.to(self.device)
        return {name: network(*pair).cpu() for name, network in self.perceptual.items()}

    def compute_features(self, video: Tensor) -> dict[str, Tensor]:
        """Features of clips, by the network's name: [B, D]."""
        video = video.to(self.device)
        return {name: network(video).cpu() for name, network in self.features.items()}


def load_metric_networks(files: Mapping[str, Path], device: torch.device) -> MetricNetworks:
    """The networks of these files, named as in `METRICS_OF_NETWORKS`.

    Raises `ValueError` if a file doesn't contain that network.
    """
    perceptual, features = {}, {}
    for name, path in files.items():
        if name in ("lpips_alex", "lpips_vgg"):
            trunk = "alex" if name == "lpips_alex" else "vgg"
            perceptual[name] = load_lpips(trunk, path).to(device)
        elif name in ("i3d", "c3d"):
            features[name] = load_features(path, name)
        else:
            raise ValueError(
                f"got metric network {name!r}; choose one of {', '.join(METRICS_OF_NETWORKS)}"
            )
    digests = {name: network.sha256 for name, network in (perceptual | features).items()}
    return MetricNetworks(perceptual, features, digests, device)
