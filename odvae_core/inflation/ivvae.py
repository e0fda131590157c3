"""From a 2D VAE to an IV-VAE: the keyframes' branch copied, the motion's inflated.

An IV-VAE without keyframes is inflated as a whole, from a 2D VAE of all latent channels, or of half
of them, which is widened before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from ..families.ivvae import Ivvae
from ..families.ivvae_config import IvvaeConfig
from ..layers.separated import DILATIONS
from ..provenance import Inflation
from ..registry import build
from ..vae import VideoVAE
from .kernels import center_inflate, tail_inflate
from .report import prove

DIFFERENCE = (
    "the convolutions over time (time_conv), which the 2D VAE doesn't have, start as the mean of "
    "two frames and as a frame's repetition"
)
WIDENED = (
    "the 2D VAE has half the latent channels; the others start with random weights in the encoder "
    "and zeros in the decoder"
)


def inflate_branches(parent: VideoVAE, config: IvvaeConfig) -> tuple[VideoVAE, Inflation]:
    """An IV-VAE each branch of which starts from a 2D VAE of its channels, and the report.

    The keyframes' branch is a copy, the motion's is inflated, and neither sees the other. Group
    causal kernels start as the 2D kernel in their middle, causal ones at their end. Raises
    `ValueError` for another kind of 2D VAE, or one of other sizes.
    """
    check_parent(parent, config)
    given = parent.latent_channels
    if not config.keyframes and config.half_start:
        parent = widen_latent(parent, config.z_channels)
    inflate = center_inflate if config.grouped else tail_inflate
    tensors, vae = parent.state_dict(), build(config)
    weights = {
        key: start(key, weight, tensors, inflate) for key, weight in vae.state_dict().items()
    }
    vae.load_state_dict(weights)
    vae.eval()
    new = tuple(key for key in weights if ".time_conv." in key)
    inflated = tuple(key for key, weight in weights.items() if is_inflated(key, weight))
    report = Inflation(
        "branches",
        copied=tuple(key for key in weights if key not in {*new, *inflated}),
        inflated=inflated,
        fresh=new,
        differences=(DIFFERENCE,) if parent.latent_channels == given else (DIFFERENCE, WIDENED),
        proof=prove(vae, parent),
    )
    return vae, report


def image_parent(config: IvvaeConfig) -> IvvaeConfig:
    """The 2D VAE that inflates into this IV-VAE: the keyframes' branch alone, if there is one."""
    channels = config.z_channels // 2 if config.half_start else config.z_channels
    width = config.width if config.keyframes else 2 * config.width
    switches = {"keyframes": True, "grouped": True, "half_start": True}
    return replace(config, z_channels=channels, width=width, branches=1, **switches)


def check_parent(parent: VideoVAE, config: IvvaeConfig) -> None:
    """Raise `ValueError` where the 2D VAE can't be a half of `config`."""
    half = image_parent(config)
    share = "half" if config.half_start else "all"
    wanted = (
        f"a 2D VAE of IV-VAE's own layers (preset 'ivvae-2d'), {half.width} channels wide and with "
        f"{half.z_channels} latent channels, {share} of the video VAE's"
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


def is_inflated(key: str, weight: Tensor) -> bool:
    """Whether a weight of the video VAE is a 3D kernel, or belongs to the motion's branch."""
    return ".time_conv." not in key and ("_3d." in key or weight.ndim == 5)


def start(
    key: str, weight: Tensor, parent: Mapping[str, Tensor], inflate: Callable[[Tensor, int], Tensor]
) -> Tensor:
    """The initial value of a weight of the video VAE."""
    if ".time_conv." in key:
        return start_over_time(weight)
    value = parent[name_in_parent(key, parent)].to(weight)
    if weight.ndim == 5:
        value = inflate(value, weight.shape[2])
    return spread(value, torch.zeros_like(weight), branch=int("_3d." in key))


def name_in_parent(key: str, parent: Mapping[str, Tensor]) -> str:
    """The 2D VAE's name of a weight; a convolution without branches is its keyframes' one."""
    name = key.replace("_3d.", "_2d.")
    layer, _, kind = name.rpartition(".")
    return name if name in parent else f"{layer}.conv_2d.{kind}"


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


@torch.no_grad()
def widen_latent(parent: VideoVAE, channels: int) -> VideoVAE:
    """A 2D VAE of `channels` latent channels that computes what `parent` does with its own.

    The decoder ignores the others until it is trained; what the encoder puts there is random.
    """
    assert isinstance(parent.config, IvvaeConfig)
    wide = build(replace(parent.config, z_channels=channels))
    tensors = parent.state_dict()
    for key, weight in wide.state_dict().items():
        rows, columns = (
            find_channels(key, axis, tensors[key].shape, weight.shape) for axis in (0, 1)
        )
        weight[rows] = 0  # a tensor of the network itself
        if weight.ndim > 1:
            weight[rows[:, None], columns] = tensors[key]
        else:
            weight[rows] = tensors[key]
    return wide.eval()


def find_channels(key: str, axis: int, small: torch.Size, large: torch.Size) -> Tensor:
    """Where the channels of the smaller weight lie in the larger, along its outputs or inputs.

    The moments are means and log variances, the inputs of the atrous mix its six convolutions.
    """
    if axis >= len(small):
        return torch.arange(0)
    parts = 1
    if axis == 0 and key.startswith("conv1."):
        parts = 2
    elif axis == 1 and key.startswith("encoder.head.2.PAC_conv."):
        parts = len(DILATIONS)
    starts = torch.arange(parts)[:, None] * (large[axis] // parts)
    return (starts + torch.arange(small[axis] // parts)).flatten()
