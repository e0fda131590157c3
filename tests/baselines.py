"""The adapter of ../shared/golden_baselines/check_baselines.py to this package.

    PYTHONPATH=. python ../shared/golden_baselines/check_baselines.py \
        --adapter tests/baselines.py --modules

The authors' code drops frames, rows and columns silently; here such sizes are refused, so the
adapter runs the networks without the checks.
"""

from __future__ import annotations

import re
from dataclasses import fields
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

import odvae_core as odvae
from odvae_core.checkpoint.export import to_published
from odvae_core.evaluation.tats import (
    ResBlock,
    SamePadConv3d,
    SamePadConvTranspose3d,
    Tats,
    TatsConfig,
)
from odvae_core.families.opsvae import CLIP_NORM_EPS, TimeBlock
from odvae_core.families.wfvae import block
from odvae_core.layers.attention import FrameAttention
from odvae_core.layers.norm import ChannelNorm, ClipGroupNorm
from odvae_core.layers.resample import JointUp2x
from odvae_core.layers.wavelet import HaarDown2x, HaarUp2x
from odvae_core.layers.zero_causal import ZeroCausalConv3d
from odvae_core.schedules import Report

Case = dict[str, Any]
Outputs = dict[str, Tensor]


class Published(nn.Module):
    """A VAE with the authors' names and constants in its state dict, as it is exported."""

    def __init__(self, vae: odvae.VideoVAE, case: Case):
        super().__init__()
        self.vae, self.old_names = vae, "v1.3.1" in case.get("reference", "")

    def state_dict(self, *_: Any, **__: Any) -> dict[str, Tensor]:
        tensors = to_published(self.vae)
        return rename_as_v131(tensors) if self.old_names else tensors

    def parameters(self, *_: Any, **__: Any):
        return self.vae.parameters()


def rename_as_v131(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """WF-VAE's keys as Open-Sora-Plan v1.3.1 spells them; its outer wavelets have none."""
    return {
        key.replace("wavelet_transform", "wavelet_tranform"): tensor
        for key, tensor in tensors.items()
        if not re.search(r"wavelet_transform_(in|out)\.", key)
    }


class NearestTimeUp2x(nn.Module):
    """Each frame but the first twice: in no release, so in no layer of the package."""

    def forward(self, x: Tensor, state: object = None) -> Tensor:
        return torch.cat([x[:, :, :1], x[:, :, 1:].repeat_interleave(2, dim=2)], dim=2)


def make_joint_up(in_channels: int, out_channels: int, t_interpolation: str) -> nn.Module:
    layer = JointUp2x(in_channels)
    if t_interpolation == "nearest":
        layer.double_time = NearestTimeUp2x()  # pyright: ignore
    return layer


def make_zero_causal(
    chan_in: int, chan_out: int, kernel_size: object, strides: tuple[int, int, int] = (1, 1, 1)
) -> nn.Module:
    return ZeroCausalConv3d(chan_in, chan_out, time_stride=strides[0])


def make_time_block(in_channels: int, filters: int) -> nn.Module:
    conv = partial(ZeroCausalConv3d, bias=False)
    norms = (ClipGroupNorm(32, channels, CLIP_NORM_EPS) for channels in (in_channels, filters))
    return TimeBlock(in_channels, filters, (conv, conv), tuple(norms))


MODULES = {
    "AttnBlock3DFix": lambda in_channels, norm_type: FrameAttention(
        in_channels, ChannelNorm(in_channels)
    ),
    "CausalConv3d": make_zero_causal,
    "HaarWaveletTransform2D": lambda: HaarDown2x(time=False),
    "HaarWaveletTransform3D": lambda: HaarDown2x(time=True),
    "InverseHaarWaveletTransform2D": lambda: HaarUp2x(time=False),
    "InverseHaarWaveletTransform3D": lambda: HaarUp2x(time=True),
    "LayerNorm": lambda num_channels: ChannelNorm(num_channels),
    "ResBlock": make_time_block,
    "ResnetBlock3D": lambda in_channels, out_channels, norm_type: block(in_channels, out_channels),
    "Spatial2xTime2x3DUpsample": make_joint_up,
}
"""The authors' modules, by their class and arguments."""


def to_triple(stride: int | list[int]) -> list[int]:
    return [stride] * 3 if isinstance(stride, int) else stride


TATS_MODULES = {
    "ResBlock": lambda in_channels, out_channels, norm_type: ResBlock(in_channels, norm_type),
    "SamePadConv3d": lambda in_channels, out_channels, kernel_size, stride=1: SamePadConv3d(
        in_channels, out_channels, kernel_size, to_triple(stride)
    ),
    "SamePadConvTranspose3d": lambda in_channels, out_channels, kernel_size, stride: (
        SamePadConvTranspose3d(in_channels, out_channels, to_triple(stride))
    ),
}


class Adapter:
    """Builds, loads and runs what a case describes; None where the package refuses it."""

    def build(self, case: Case) -> nn.Module:
        config = case["config"]
        if case["system"].endswith("-module"):
            modules = TATS_MODULES if case["system"].startswith("tats") else MODULES
            return modules[config["class"]](**config["args"])
        if is_refused(case):
            return nn.Module()
        if case["system"] == "tats":
            own = {field.name for field in fields(TatsConfig)}
            known = {name: value for name, value in config.items() if name in own}
            return Tats(TatsConfig(**known | {"downsample": tuple(known["downsample"])}))
        if case["system"] == "opsvae":  # micro_frame_size None: one piece
            config = {**config, "micro_frame_size": config["micro_frame_size"] or 17}
        return Published(odvae.build(config), case)

    def load(self, network: nn.Module, state: dict[str, Tensor]) -> None:
        if isinstance(network, Published):
            names = network.state_dict().keys()
            assert names == state.keys()
            network = network.vae
            state = {key: state[key] for key in network.state_dict()}
        elif type(network) is nn.Module:
            return
        network.load_state_dict({k: v for k, v in state.items() if "wavelet" not in k})

    def outputs(self, network: nn.Module, case: Case, given: Outputs) -> Outputs | None:
        if type(network) is nn.Module:
            return None
        if isinstance(network, Tats):
            codes = network.encode(given["x"])
            return {"codes": codes, "dec": network.decode(given["codes"])}
        if not isinstance(network, Published):
            return {
                name.replace("x", "y", 1): network(x)
                for name, x in given.items()
                if name.startswith("x")
            }
        if case["system"] == "opsvae":
            return run_opsvae(network.vae, given, case["runtime"]["micro_frame_size"])
        return run_wfvae(network.vae, given)


def is_refused(case: Case) -> bool:
    """WF-VAE's rewrite, and its configurations with norms over groups."""
    return case["system"] == "wfvae2" or case["config"].get("norm_type") == "groupnorm"


def encode_as_authors(vae: odvae.VideoVAE, video: Tensor) -> odvae.Posterior:
    """Without the checks of frames and sides; the frames that the authors' code drops are cut."""
    time = vae.temporal_compression
    kept = video[:, :, : 1 + (video.shape[2] - 1) // time * time]
    moments = odvae.Whole().run(vae.encoder_pass(), kept, None, Report(None))
    return vae.posterior(moments)


def run_wfvae(vae: odvae.VideoVAE, given: Outputs) -> Outputs:
    posterior = encode_as_authors(vae, given["x"])
    latent = given.get("decoded_from", given["mean"])
    return {"mean": posterior.mean, "logvar": posterior.logvar, "dec": vae.decode(latent)}


def run_opsvae(vae: odvae.VideoVAE, given: Outputs, piece: int | None) -> Outputs:
    """In pieces as the case says, or in one; the authors' latents are scaled."""
    frames = given["x"].shape[2]
    schedule = odvae.Pieces(piece or frames, clip_frames=frames)
    if frames == 1:
        schedule = odvae.Pieces(17, clip_frames=1)
    moments = schedule.run(vae.encoder_pass(), given["x"], None, Report(None))
    posterior = vae.posterior(moments)
    decoded = vae.decode(given["mean"], schedule)
    return {
        "mean": posterior.mean,
        "logvar": posterior.logvar,
        "z": vae.scale_latent(posterior.mean),
        "dec": decoded,
    }
