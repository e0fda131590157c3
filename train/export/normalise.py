"""Latents with mean 0 and deviation 1, by a change of the weights: suited to diffusion models."""

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
    """A copy of the VAE with the latents (latent - mean) / std, per channel, and `latent_scale` 1.

    `mean` and `std` [C] are the statistics of the latents before. The normalisation is folded into
    the 1x1 layers before and after the latent, so the reconstructions are the same. Raises
    ValueError where the VAE has no such layers, or the statistics don't fit it.
    """
    check_latent_statistics(vae, mean, std)
    weight = next(vae.parameters())
    shift, scale = (weight.new_tensor(values) for values in (mean, std))
    normal = copy.deepcopy(vae)
    normal.config, normal.latent_scale = replace(vae.config, latent_scale=1.0), 1.0
    fold_into_moments(find_conv(normal.quant_conv), shift, scale)
    fold_into_latent_input(find_conv(normal.post_quant_conv), shift, scale)
    return normal


def check_latent_statistics(vae: VideoVAE, mean: Sequence[float], std: Sequence[float]) -> None:
    """Raise ValueError where the latents can't be normalised with these statistics."""
    if not getattr(vae.config, "quant", ""):
        raise ValueError(
            f"this VAE of the family {vae.family} has no quant_conv and post_quant_conv for a "
            "normalisation of its latents: export it without --normalise"
        )
    if not len(mean) == len(std) == vae.latent_channels or not all(value > 0 for value in std):
        raise ValueError(
            f"got means {list(mean)} and deviations {list(std)}; latents of {vae.latent_channels} "
            "channels need as many of both, and deviations above 0: evaluate the run once more"
        )


def find_conv(conv: nn.Module) -> nn.Conv2d | nn.Conv3d:
    """The convolution inside a layer."""
    layer = conv.conv if isinstance(conv, CausalConv3d) else conv
    assert isinstance(layer, nn.Conv2d | nn.Conv3d)
    return layer


def fold_into_moments(layer: nn.Conv2d | nn.Conv3d, shift: Tensor, scale: Tensor) -> None:
    """Change a layer that outputs means and log variances [2C] to output the normalised ones."""
    weight, bias = layer.weight.flatten(1), layer.bias
    assert bias is not None
    channels = len(shift)
    weight[:channels] /= scale[:, None]
    bias[:channels] = (bias[:channels] - shift) / scale
    bias[channels:] -= 2 * scale.log()


def fold_into_latent_input(layer: nn.Conv2d | nn.Conv3d, shift: Tensor, scale: Tensor) -> None:
    """Change a layer whose input are latents [C] to take normalised ones."""
    weight, bias = layer.weight.flatten(1), layer.bias
    assert bias is not None
    bias += weight @ shift
    weight *= scale
