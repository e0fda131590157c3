"""OD-VAE (arXiv 2409.01199): one class for all published models, variants and the 2D SD VAE."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import pairwise

from torch import nn

from ..constants import NORM_EPS
from ..layers.attention import ChannelFrameAttention, FrameAttention, TemporalAttention
from ..layers.coder import Coder
from ..layers.coder_pass import CoderPass
from ..layers.conv import CausalConv3d, FrameConv2d
from ..layers.norm import ClipGroupNorm, FrameGroupNorm
from ..layers.resample import (
    AverageTimeDown2x,
    FrameDown2x,
    FrameUp2x,
    JointDown2x,
    JointUp2x,
    LinearTimeUp2x,
    MixedTimeDown2x,
    MixedTimeUp2x,
    SpaceDown2x,
    SpaceUp2x,
)
from ..layers.resnet import ResnetBlock
from ..layers.stream import layer_step
from ..vae import VideoVAE
from .odvae_config import OdvaeConfig

CONVS = {"2d": FrameConv2d, "3d": CausalConv3d}
BLOCK_CONVS = {
    "2d": (FrameConv2d, FrameConv2d),
    "3d": (CausalConv3d, CausalConv3d),
    "half": (CausalConv3d, FrameConv2d),
}

DOWN = {"frame": FrameDown2x, "space": SpaceDown2x, "joint": JointDown2x}
DOWN_TIME = {"average": lambda channels: AverageTimeDown2x(), "mixed": MixedTimeDown2x}
UP = {
    "frame": FrameUp2x,
    "space": SpaceUp2x,
    "joint": JointUp2x,
    "joint-nearest": partial(JointUp2x, space="nearest"),
}
UP_TIME = {"linear": lambda channels: LinearTimeUp2x(), "mixed": MixedTimeUp2x}
ATTENTIONS = {
    "2d": partial(FrameAttention, conv=FrameConv2d),
    "frame": FrameAttention,
    "scrambled": ChannelFrameAttention,
    "temporal": TemporalAttention,
}

Layers = Iterator[tuple[str, nn.Module]]
"""Layers in the order in which they run, and their names in the published checkpoints."""


class Odvae(VideoVAE):
    """Any OD-VAE, or the 2D SD VAE, as the configuration says."""

    family = "odvae"

    def __init__(self, config: OdvaeConfig):
        super().__init__()
        self.config = config
        self.temporal_compression = 2**config.time_halvings
        self.spatial_compression = 2**config.space_halvings
        self.latent_channels = config.latent_channels
        self.latent_scale, self.latent_shift = config.latent_scale, config.latent_shift
        self.encoder = Coder(encoder_layers(config))
        self.decoder = Coder(decoder_layers(config))
        self.has_quant = bool(config.quant)
        if config.quant:
            conv, z, embed = CONVS[config.quant], config.z_channels, config.embed_dim
            self.quant_conv = conv(2 * z, 2 * embed, 1)
            self.post_quant_conv = conv(embed, z, 1)

    def encoder_pass(self) -> CoderPass:
        steps = list(self.encoder.steps())
        if self.has_quant:
            steps.append(layer_step(self.quant_conv))
        time, space = self.temporal_compression, self.spatial_compression
        return CoderPass(steps, self.encoder, time, 1, space, 1)

    def decoder_pass(self) -> CoderPass:
        steps = list(self.decoder.steps())
        if self.has_quant:
            steps.insert(0, layer_step(self.post_quant_conv))
        time, space = self.temporal_compression, self.spatial_compression
        return CoderPass(steps, self.decoder, 1, time, 1, space)


def encoder_layers(config: OdvaeConfig) -> Layers:
    """The layers from video [B, 3, T, H, W] to moments of 2 z_channels."""
    channels, resolution = config.width, config.resolution
    yield "conv_in", CONVS[config.encoder_in](3, channels)
    for i, level in enumerate(config.levels):
        attention = config.encoder_attention if resolution in config.attention_resolutions else ""
        sizes = [channels] + [config.width * level.multiplier] * config.blocks
        yield from residual_blocks(config, f"down.{i}", sizes, level.encoder, attention)
        channels = sizes[-1]
        if level.down:
            yield f"down.{i}.downsample", DOWN[level.down](channels)
            resolution //= 2
        if level.down_time:
            yield f"down.{i}.time_downsample", DOWN_TIME[level.down_time](channels)
    yield from middle_layers(config, channels, config.encoder_middle, config.encoder_attention)
    yield "norm_out", group_norm(config, channels)
    yield "conv_out", CONVS[config.encoder_out](channels, 2 * config.z_channels)


def decoder_layers(config: OdvaeConfig) -> Layers:
    """The layers from latents of z_channels to video [B, 3, T, H, W]."""
    channels = config.width * config.levels[-1].multiplier
    resolution = config.resolution // 2 ** (len(config.levels) - 1)
    yield "conv_in", CONVS[config.decoder_in](config.z_channels, channels)
    yield from middle_layers(config, channels, config.decoder_middle, config.decoder_attention)
    for i, level in reversed(list(enumerate(config.levels))):
        attention = config.decoder_attention if resolution in config.attention_resolutions else ""
        sizes = [channels] + [config.width * level.multiplier] * (config.blocks + 1)
        yield from residual_blocks(config, f"up.{i}", sizes, level.decoder, attention)
        channels = sizes[-1]
        if level.up:
            yield f"up.{i}.upsample", UP[level.up](channels)
            resolution *= 2
        if level.up_time:
            yield f"up.{i}.time_upsample", UP_TIME[level.up_time](channels)
    yield "norm_out", group_norm(config, channels)
    yield "conv_out", CONVS[config.decoder_out](channels, 3)


def residual_blocks(
    config: OdvaeConfig, owner: str, sizes: list[int], kind: str, attention: str
) -> Layers:
    """Residual blocks through `sizes` channels, each with its attention if there is one."""
    for i, (before, after) in enumerate(pairwise(sizes)):
        yield f"{owner}.block.{i}", residual_block(config, before, after, kind)
        if attention:
            yield f"{owner}.attn.{i}", make_attention(config, after, attention)


def middle_layers(config: OdvaeConfig, channels: int, kind: str, attention: str) -> Layers:
    """Two residual blocks around an attention, at the coarsest resolution."""
    yield "mid.block_1", residual_block(config, channels, channels, kind)
    yield "mid.attn_1", make_attention(config, channels, attention)
    yield "mid.block_2", residual_block(config, channels, channels, kind)


def group_norm(config: OdvaeConfig, channels: int, kind: str = "3d") -> nn.GroupNorm:
    """Over the frame in 2D layers, else as the configuration says."""
    per_frame = kind == "2d" or config.norm == "frame"
    return (FrameGroupNorm if per_frame else ClipGroupNorm)(config.norm_groups, channels, NORM_EPS)


def residual_block(config: OdvaeConfig, before: int, after: int, kind: str) -> ResnetBlock:
    norms = group_norm(config, before, kind), group_norm(config, after, kind)
    return ResnetBlock(before, after, BLOCK_CONVS[kind], norms)


def make_attention(config: OdvaeConfig, channels: int, kind: str) -> FrameAttention:
    return ATTENTIONS[kind](channels, group_norm(config, channels, kind))
