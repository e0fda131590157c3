"""The 3D PatchGAN: a logit for each patch of a clip."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from .config import DiscriminatorConfig, LossConfig

SLOPE = 0.2
GROUPS = 8
LARGEST_MULTIPLIER = 8
"""Layers have at most this many times `width` channels."""


class Discriminator(nn.Module):
    """Clips [B, 3, T, H, W] to logits [B, 1, t, h, w], one for each patch.

    Kernels of 3; the first two layers halve time and space, the others up to the last two halve
    space only (OD-VAE's trainer). It computes in float32 with any precision of the run: adversarial
    training in 16 bits was reported to end in nan, and bf16 kernels of CPUs gave gradients of 1e35.
    """

    def __init__(self, config: DiscriminatorConfig):
        super().__init__()
        self.layers = nn.Sequential(*make_layers(config))
        self.apply(initialise_layer)

    def forward(self, video: Tensor) -> Tensor:
        with torch.autocast(video.device.type, enabled=False):
            return self.layers(video.to(self.layers[0].weight))


def make_layers(config: DiscriminatorConfig) -> Iterator[nn.Module]:
    """The layers in order."""
    yield nn.Conv3d(3, config.width, 3, stride=2, padding=1)
    yield nn.LeakyReLU(SLOPE)
    channels = config.width
    for i in range(1, config.layers + 1):
        wider = config.width * min(2**i, LARGEST_MULTIPLIER)
        stride = 1 if i == config.layers else (2 if i == 1 else 1, 2, 2)
        yield nn.Conv3d(channels, wider, 3, stride, padding=1, bias=config.norm == "group")
        yield nn.BatchNorm3d(wider) if config.norm == "batch" else nn.GroupNorm(GROUPS, wider)
        yield nn.LeakyReLU(SLOPE)
        channels = wider
    yield nn.Conv3d(channels, 1, 3, padding=1)


@torch.no_grad()
def initialise_layer(layer: nn.Module) -> None:
    """Draw kernels from N(0, 0.02) and scales of norms from N(1, 0.02); biases are 0."""
    if isinstance(layer, nn.Conv3d):
        nn.init.normal_(layer.weight, 0.0, 0.02)
    elif isinstance(layer, nn.BatchNorm3d | nn.GroupNorm):
        nn.init.normal_(layer.weight, 1.0, 0.02)
    else:
        return
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def trains_discriminator_only(config: DiscriminatorConfig, loss: LossConfig, step: int) -> bool:
    """Whether a step, counted from 0, trains the discriminator alone.

    The authors' trainers alternate: even steps train the VAE, odd steps the discriminator.
    """
    return loss.adversarial > 0 and config.mode == "alternate" and step % 2 == 1
