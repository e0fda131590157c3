"""From a 2D VAE of half the latent channels to an IV-VAE: one branch copied, the other inflated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ..families.ivvae_config import IvvaeConfig
from ..published import infer_ivvae, is_ivvae, is_sd_vae
from ..registry import build
from ..vae import VideoVAE
from .kernels import center_inflate
from .report import Inflation, prove

DIFFERENCE = (
    "the convolutions over time (time_conv), which the 2D VAE hasn't, start as the mean of two "
    "frames and as a frame's repetition"
)


def inflate_branches(tensors: Mapping[str, Tensor], config: IvvaeConfig) -> VideoVAE:
    """An IV-VAE each branch of which starts as a 2D VAE of its own design and of half its channels.

    The keyframes' branch is a copy, the motion's is center-inflated, and neither sees the other.
    Raises `ValueError` where the source is no such 2D VAE, or of other sizes.
    """
    parent_config = read_parent(tensors, config)
    vae, parent = build(config), build(parent_config)
    parent.load_state_dict(dict(tensors))
    weights = {key: start(key, weight, tensors) for key, weight in vae.state_dict().items()}
    vae.load_state_dict(weights)
    vae.eval()
    new = tuple(key for key in weights if ".time_conv." in key)
    inflated = tuple(key for key in weights if "_3d." in key)
    vae.inflation = Inflation(
        "branches",
        copied=tuple(key for key in weights if key not in {*new, *inflated}),
        inflated=inflated,
        fresh=new,
        differences=(DIFFERENCE,),
        proof=prove(vae, parent.eval()),
    )
    return vae


def image_parent(config: IvvaeConfig) -> IvvaeConfig:
    """The 2D VAE that inflates into this IV-VAE: the keyframes' branch alone."""
    return replace(config, z_channels=config.z_channels // 2, branches=1)


def read_parent(tensors: Mapping[str, Tensor], config: IvvaeConfig) -> IvvaeConfig:
    """The configuration of the 2D VAE. Raises `ValueError` where it can't be a half of `config`."""
    half = image_parent(config)
    wanted = (
        f"a 2D VAE of IV-VAE's own layers (preset 'ivvae-2d'), {half.width} channels wide and with "
        f"{half.z_channels} latent channels, half of the video VAE's"
    )
    if is_sd_vae(tensors) and not is_ivvae(tensors):
        raise ValueError(
            "got a plain 2D Stable Diffusion VAE; its features fill both halves, which an IV-VAE "
            f"keeps apart for keyframes and motion, and its norms differ: train {wanted}, "
            "or inflate it into an OD-VAE"
        )
    if not is_ivvae(tensors):
        raise ValueError(f"got no 2D VAE; it takes {wanted}")
    parent, _ = infer_ivvae(tensors)
    parent = replace(parent, latent_scale=half.latent_scale, latent_shift=half.latent_shift)
    if parent != half:
        raise ValueError(
            f"got a VAE of {parent.branches} branch(es), {parent.width} channels wide, with "
            f"{parent.z_channels} latent channels, multipliers {parent.multipliers} and "
            f"{parent.blocks} blocks; it takes {wanted}, multipliers {half.multipliers} and "
            f"{half.blocks} blocks"
        )
    return parent


def start(key: str, weight: Tensor, parent: Mapping[str, Tensor]) -> Tensor:
    """What a weight of the video VAE starts as."""
    if ".time_conv." in key:
        return start_over_time(weight)
    value = parent[key.replace("_3d.", "_2d.")].to(weight)
    if weight.ndim == 5:
        value = center_inflate(value, weight.shape[2])
    return spread(value, torch.zeros_like(weight), branch=int("_3d." in key))


def spread(value: Tensor, into: Tensor, branch: int) -> Tensor:
    """Put a weight of one branch where its outputs and inputs lie among those of both.

    A layer that gives both branches has it twice, each for its own inputs; one that gives a single
    branch has it for the inputs of `branch`.
    """
    if into.shape == value.shape:
        return value.clone()
    outputs, doubled = value.shape[0], into.shape[0] > value.shape[0]
    for i in (0, 1) if doubled else (branch,):
        rows = into[i * outputs : (i + 1) * outputs] if doubled else into
        inputs = value.shape[1] if value.ndim > 1 else 0
        if inputs and rows.shape[1] > inputs:
            rows = rows[:, i * inputs : (i + 1) * inputs]
        rows.copy_(value)
    return into


def start_over_time(weight: Tensor) -> Tensor:
    """The mean of the frames that a kernel sees, in each of the frames that it makes; no bias."""
    if weight.ndim == 1:
        return torch.zeros_like(weight)
    makes, frames = weight.shape[0] // weight.shape[1], weight.shape[2]
    identity = torch.eye(weight.shape[1]).repeat(makes, 1)[:, :, None, None, None]
    return (identity / frames).expand_as(weight).to(weight)
