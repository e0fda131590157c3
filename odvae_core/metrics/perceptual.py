"""LPIPS (Zhang et al. 2018, version 0.1): the perceptual distance of two images.

In plain PyTorch. The trunk's weights come from a file that the caller names, the linear weights of
its channels from the installed torchmetrics package; nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ..files.tensorfile import hash_file, read_tensor_file
from .trunks import NAMES, SMALLEST, STAGES, Stage, draw_trunk, read_trunk

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Mean and standard deviation of ImageNet's colours, for pixels in [-1, 1] (Zhang et al.)."""

EPS = 1e-8  # below the root, so that the gradient is finite if all channels are 0


class Lpips(nn.Module):
    """The distance of each frame to its reference; 0 for identical frames, rarely above 1.

    Frozen and in eval mode. `network` is its name in reports, `sha256` that of the trunk's file
    (None for random weights).
    """

    shift: Tensor
    scale: Tensor

    def __init__(
        self,
        trunk: Literal["alex", "vgg"],
        weights: Mapping[str, Tensor],
        network: str,
        sha256: str | None,
    ):
        super().__init__()
        self.trunk, self.network, self.sha256 = trunk, network, sha256
        stages = STAGES[trunk]
        with torch.device("meta"):  # loaded below; no random initialisation
            self.features = nn.ModuleDict(
                {
                    str(c.index): nn.Conv2d(c.inputs, c.outputs, c.kernel, c.stride, c.padding)
                    for stage in stages
                    for c in stage.convs
                }
            )
            self.heads = nn.ParameterList(torch.empty(stage.convs[-1].outputs) for stage in stages)
        self.load_state_dict(dict(weights), assign=True)
        self.register_buffer("shift", torch.tensor(SHIFT).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(SCALE).view(1, 3, 1, 1), persistent=False)
        self.eval().requires_grad_(False)

    def forward(self, video: Tensor, reference: Tensor) -> Tensor:
        """Two videos [B, 3, T, H, W] in [-1, 1] -> [B, T]; only `video` gets a gradient.

        ValueError: shapes that differ, or sides that are too small for the trunk.
        """
        self.check_videos(video, reference)
        x = self.to_images(video)
        y = self.to_images(reference.detach())  # no gradient: the trunk is frozen
        distance = x.new_zeros(len(x))
        for stage, head in zip(STAGES[self.trunk], self.heads, strict=True):
            x, y = self.run_stage(stage, x), self.run_stage(stage, y)
            difference = (normalize(x) - normalize(y)).square().mean(dim=(2, 3))
            distance = distance + (difference * head).sum(dim=1)
        return rearrange(distance, "(b t) -> b t", b=len(video))

    def to_images(self, video: Tensor) -> Tensor:
        """[B, 3, T, H, W] -> images [B * T, 3, H, W] with ImageNet's mean and deviation."""
        pictures = rearrange(video.to(self.shift), "b c t h w -> (b t) c h w")
        return (pictures - self.shift) / self.scale

    def run_stage(self, stage: Stage, x: Tensor) -> Tensor:
        """The features after one stage of the trunk."""
        if stage.pool:
            x = F.max_pool2d(x, stage.pool, stride=2)
        for conv in stage.convs:
            x = F.relu(self.features[str(conv.index)](x), inplace=True)
        return x

    def check_videos(self, video: Tensor, reference: Tensor) -> None:
        """Raise `ValueError` if the two can't be compared."""
        if video.ndim != 5 or video.shape[1] != 3 or video.shape != reference.shape:
            raise ValueError(
                f"got shapes {list(video.shape)} and {list(reference.shape)}; "
                "LPIPS compares two videos of one shape [B, 3, T, H, W]"
            )
        height, width = video.shape[3:]
        if min(height, width) < SMALLEST[self.trunk]:
            raise ValueError(
                f"got frames of {height}x{width}; LPIPS through {NAMES[self.trunk]} takes sides "
                f"of {SMALLEST[self.trunk]} or more: compare larger frames"
            )


def normalize(features: Tensor) -> Tensor:
    """Features [N, C, H, W] in at least float32, scaled to length 1 at every position."""
    features = features.to(torch.promote_types(features.dtype, torch.float32))
    return features / (features.square().sum(dim=1, keepdim=True) + EPS).sqrt()


def load_lpips(network: Literal["alex", "vgg"], weights: Path) -> Lpips:
    """LPIPS with AlexNet or VGG16, in float32 on the CPU.

    `weights` is torchvision's file of that network or the output of `pack_trunk`. Raises
    `CheckpointError` for another file, `ImportError` without torchmetrics.
    """
    loaded = read_trunk(network, weights)
    loaded |= read_heads(network)
    return Lpips(network, loaded, network, hash_file(weights))


def read_heads(network: Literal["alex", "vgg"]) -> dict[str, Tensor]:
    """The weights of a trunk's channels, [C] for each stage, from torchmetrics' data files."""
    spec = find_spec("torchmetrics")  # only the folder; the import takes seconds
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(
            "LPIPS reads the weights of its channels from the package torchmetrics, which isn't "
            "installed: run `pip install torchmetrics`"
        )
    folder = Path(spec.submodule_search_locations[0], "functional", "image", "lpips_models")
    tensors = read_tensor_file(folder / f"{network}.pth").tensors
    stages = range(len(STAGES[network]))
    return {f"heads.{i}": tensors[f"lin{i}.model.1.weight"].flatten() for i in stages}


def random_lpips(network: Literal["alex", "vgg"], seed: int) -> Lpips:
    """LPIPS with random weights, for tests: a distance with another name in reports."""
    generator = torch.Generator().manual_seed(seed)
    weights = draw_trunk(network, generator)
    for i, stage in enumerate(STAGES[network]):
        weights[f"heads.{i}"] = torch.rand(stage.convs[-1].outputs, generator=generator)
    return Lpips(network, weights, f"random-{network}", None)
