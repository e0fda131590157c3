"""Latents of mean 0 and deviation 1, by weights alone: what diffusion models like to be given."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from odvae_core.layers.conv import CausalConv3d
from odvae_core.vae import VideoVAE


@torch.no_grad()
def normalise_latents(vae: VideoVAE, mean: Sequence[float], std: Sequence[float]) -> VideoVAE:
    """The same VAE for other latents: (latent - mean) / std, per channel, and `latent_scale` 1.

    `mean` and `std` [C] are those of its latents now. What the change of latents needs is folded
    into the 1x1 layers on both sides of them, so that reconstructions stay the same. Raises
    ValueError where the VAE has no such layers, or the figures don't fit it.
    """
    check(vae, mean, std)
    weight = next(vae.parameters())
    shift, scale = (weight.new_tensor(values) for values in (mean, std))
    normal = copy.deepcopy(vae)
    normal.config, normal.latent_scale = replace(vae.config, latent_scale=1.0), 1.0
    move_moments(find_layer(normal.quant_conv), shift, scale)
    move_back(find_layer(normal.post_quant_conv), shift, scale)
    return normal


def check(vae: VideoVAE, mean: Sequence[float], std: Sequence[float]) -> None:
    """Raise ValueError where latents can't be normalised."""
    if not getattr(vae.config, "quant", ""):
        raise ValueError(
            f"this VAE of the family {vae.family} has no quant_conv and post_quant_conv to fold a "
            "change of latents into: export it without --normalise"
        )
    if not len(mean) == len(std) == vae.latent_channels or not all(value > 0 for value in std):
        raise ValueError(
            f"got means {list(mean)} and deviations {list(std)}; latents of {vae.latent_channels} "
            "channels have as many of both, the deviations above 0: measure them anew"
        )


def find_layer(conv: nn.Module) -> nn.Conv2d | nn.Conv3d:
    """The 1x1 convolution itself."""
    layer = conv.conv if isinstance(conv, CausalConv3d) else conv
    assert isinstance(layer, nn.Conv2d | nn.Conv3d)
    return layer


def move_moments(layer: nn.Conv2d | nn.Conv3d, shift: Tensor, scale: Tensor) -> None:
    """Let a layer that gives means and log variances [2C] give those of the moved latents."""
    weight, bias = layer.weight.flatten(1), layer.bias
    assert bias is not None
    channels = len(shift)
    weight[:channels] /= scale[:, None]
    bias[:channels] = (bias[:channels] - shift) / scale
    bias[channels:] -= 2 * scale.log()


def move_back(layer: nn.Conv2d | nn.Conv3d, shift: Tensor, scale: Tensor) -> None:
    """Let a layer that takes latents [C] take the moved ones."""
    weight, bias = layer.weight.flatten(1), layer.bias
    assert bias is not None
    bias += weight @ shift
    weight *= scale
