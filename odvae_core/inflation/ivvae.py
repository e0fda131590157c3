"""From a 2D VAE of half the latent channels to an IV-VAE: one branch copied, the other inflated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ..families.ivvae import Ivvae
from ..families.ivvae_config import IvvaeConfig
from ..provenance import Inflation
from ..registry import build
from ..vae import VideoVAE
from .kernels import center_inflate
from .report import prove

DIFFERENCE = (
    "the convolutions over time (time_conv), which the 2D VAE doesn't have, start as the mean of "
    "two frames and as a frame's repetition"
)


def inflate_branches(parent: VideoVAE, config: IvvaeConfig) -> tuple[VideoVAE, Inflation]:
    """An IV-VAE both branches of which start from a 2D VAE of half its channels, and the report.

    The keyframes' branch is a copy, the motion's is center-inflated, and neither sees the other.
    Raises `ValueError` for another kind of 2D VAE, or one of other sizes.
    """
    check_parent(parent, config)
    tensors, vae = parent.state_dict(), build(config)
    weights = {key: start(key, weight, tensors) for key, weight in vae.state_dict().items()}
    vae.load_state_dict(weights)
    vae.eval()
    new = tuple(key for key in weights if ".time_conv." in key)
    inflated = tuple(key for key in weights if "_3d." in key)
    report = Inflation(
        "branches",
        copied=tuple(key for key in weights if key not in {*new, *inflated}),
        inflated=inflated,
        fresh=new,
        differences=(DIFFERENCE,),
        proof=prove(vae, parent),
    )
    return vae, report


def image_parent(config: IvvaeConfig) -> IvvaeConfig:
    """The 2D VAE that inflates into this IV-VAE: the keyframes' branch alone."""
    return replace(config, z_channels=config.z_channels // 2, branches=1)


def check_parent(parent: VideoVAE, config: IvvaeConfig) -> None:
    """Raise `ValueError` where the 2D VAE can't be a half of `config`."""
    half = image_parent(config)
    wanted = (
        f"a 2D VAE of IV-VAE's own layers (preset 'ivvae-2d'), {half.width} channels wide and with "
        f"{half.z_channels} latent channels, half of the video VAE's"
    )
    if parent.family != Ivvae.family:
        got = "plain 2D Stable Diffusion VAE" if parent.temporal_compression == 1 else "video VAE"
        raise ValueError(
            f"got a {got}; its features fill both halves, which an IV-VAE keeps apart for "
            f"keyframes and motion, and its norms differ: train {wanted}, "
            "or inflate a 2D VAE into an OD-VAE"
        )
    got = parent.config
    assert isinstance(got, IvvaeConfig)
    if replace(got, latent_scale=half.latent_scale, latent_shift=half.latent_shift) != half:
        raise ValueError(
            f"got a VAE of {got.branches} branch(es), {got.width} channels wide, with "
            f"{got.z_channels} latent channels, multipliers {got.multipliers} and "
            f"{got.blocks} blocks; it takes {wanted}, multipliers {half.multipliers} and "
            f"{half.blocks} blocks"
        )


def start(key: str, weight: Tensor, parent: Mapping[str, Tensor]) -> Tensor:
    """The initial value of a weight of the video VAE."""
    if ".time_conv." in key:
        return start_over_time(weight)
    value = parent[key.replace("_3d.", "_2d.")].to(weight)
    if weight.ndim == 5:
        value = center_inflate(value, weight.shape[2])
    return spread(value, torch.zeros_like(weight), branch=int("_3d." in key))


def spread(value: Tensor, into: Tensor, branch: int) -> Tensor:
    """Place the weight of one branch into that of both, at the branch's outputs and inputs.

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
