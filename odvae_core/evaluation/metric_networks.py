"""Measures that need weights, which the user gives as files; without a file a measure is absent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from ..metrics import load_features, load_lpips

WITHOUT = {
    "lpips_alex": "LPIPS (alex)",
    "lpips_vgg": "LPIPS (vgg)",
    "i3d": "rFVD and KVD",
    "c3d": "Inception Score",
}
"""Every metric network, and what can't be measured without its file."""


@dataclass(frozen=True)
class MetricNetworks:
    """Networks that compare or describe clips on [-1, 1].

    `perceptual`: (video, reference) -> [B, T]. `features`: video -> [B, D]. `sha256`: of the files
    of both. They run on `device`; what they say comes back on the CPU.
    """

    perceptual: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = field(default_factory=dict)
    features: Mapping[str, Callable[[Tensor], Tensor]] = field(default_factory=dict)
    sha256: Mapping[str, str] = field(default_factory=dict)
    device: torch.device | str = "cpu"

    def compare(self, video: Tensor, reference: Tensor) -> dict[str, Tensor]:
        """LPIPS of each frame, by the network's name: [B, T]."""
        pair = video.to(self.device), reference.to(self.device)
        return {name: network(*pair).cpu() for name, network in self.perceptual.items()}

    def observe(self, video: Tensor) -> dict[str, Tensor]:
        """Features of clips, by the network's name: [B, D]."""
        video = video.to(self.device)
        return {name: network(video).cpu() for name, network in self.features.items()}


def load_metric_networks(files: Mapping[str, Path], device: torch.device) -> MetricNetworks:
    """The networks of these files, named as in `WITHOUT`.

    Raises `ValueError` where a file isn't of that network.
    """
    perceptual, features = {}, {}
    for name, path in files.items():
        if name in ("lpips_alex", "lpips_vgg"):
            trunk = "alex" if name == "lpips_alex" else "vgg"
            perceptual[name] = load_lpips(trunk, path).to(device)
        elif name in ("i3d", "c3d"):
            features[name] = load_features(path, name)
        else:
            raise ValueError(f"got metric network {name!r}; choose one of {', '.join(WITHOUT)}")
    digests = {name: network.sha256 for name, network in (perceptual | features).items()}
    return MetricNetworks(perceptual, features, digests, device)
