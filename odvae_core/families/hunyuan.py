"""HunyuanVideo 1.0's VAE (arXiv 2412.03603): SD's inflated, causal but for its norms."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import pairwise

from torch import nn

from ..constants import NORM_EPS
from ..layers.attention import CausalSpaceTimeAttention, FullSpaceTimeAttention
from ..layers.centred import ClipConv3d
from ..layers.coder import Coder
from ..layers.coder_pass import CoderPass
from ..layers.conv import CausalConv3d
from ..layers.hunyuan import HunyuanDown2x, HunyuanUp2x
from ..layers.norm import ClipGroupNorm
from ..layers.resnet import ResnetBlock
from ..layers.stream import layer_step
from ..vae import VideoVAE
from .hunyuan_config import HunyuanConfig

Layers = Iterator[tuple[str, nn.Module]]

ATTENTIONS = {"causal": CausalSpaceTimeAttention, "full": FullSpaceTimeAttention}
conv = partial(CausalConv3d, space="replicate")


class Hunyuan(VideoVAE):
    """A HunyuanVideo VAE, as the configuration says."""

    family = "hunyuan"

    def __init__(self, config: HunyuanConfig):
        super().__init__()
        self.config, z = config, config.z_channels
        self.temporal_compression = 4
        self.spatial_compression = 2 ** (len(config.multipliers) - 1)
        self.latent_channels = z
        self.latent_scale, self.latent_shift = config.latent_scale, config.latent_shift
        self.encoder = Coder(encoder_layers(config))
        self.decoder = Coder(decoder_layers(config))
        self.quant_conv = ClipConv3d(2 * z, 2 * z, 1)
        self.post_quant_conv = ClipConv3d(z, z, 1)

    def encoder_pass(self) -> CoderPass:
        steps = [*self.encoder.steps(), layer_step(self.quant_conv)]
        return CoderPass(steps, self.encoder, 4, 1, self.spatial_compression, 1)

    def decoder_pass(self) -> CoderPass:
        steps = [layer_step(self.post_quant_conv), *self.decoder.steps()]
        return CoderPass(steps, self.decoder, 1, 4, 1, self.spatial_compression)


class LayerFactory:
    """Makes the layers of a network."""

    def __init__(self, config: HunyuanConfig):
        self.config = config
        self.halvings = len(config.multipliers) - 1

    def norm(self, channels: int) -> ClipGroupNorm:
        return ClipGroupNorm(self.config.norm_groups, channels, NORM_EPS)

    def block(self, before: int, after: int) -> ResnetBlock:
        return ResnetBlock(before, after, (conv, conv), (self.norm(before), self.norm(after)))

    def blocks(self, name: str, before: int, after: int, count: int) -> Layers:
        sizes = [before] + [after] * count
        for i, pair in enumerate(pairwise(sizes)):
            yield f"{name}.block.{i}", self.block(*pair)

    def middle(self, channels: int) -> Layers:
        """Two residual blocks around an attention, at the coarsest resolution."""
        attention = ATTENTIONS[self.config.attention]
        yield "mid.block_1", self.block(channels, channels)
        yield "mid.attn_1", attention(channels, self.norm(channels), nn.Conv3d)
        yield "mid.block_2", self.block(channels, channels)


def encoder_layers(config: HunyuanConfig) -> Layers:
    """The layers from video [B, 3, T, H, W] to 2 z_channels, before the last convolution."""
    factory, before = LayerFactory(config), config.width
    yield "conv_in", conv(3, before)
    for i, after in enumerate(config.widths):
        yield from factory.blocks(f"down.{i}", before, after, config.blocks)
        before = after
        if i < factory.halvings:
            time = i >= factory.halvings - 2
            yield f"down.{i}.downsample", HunyuanDown2x(after, time)
    yield from factory.middle(before)
    yield "norm_out", factory.norm(before)
    yield "conv_out", conv(before, 2 * config.z_channels)


def decoder_layers(config: HunyuanConfig) -> Layers:
    """The layers from z_channels to video [B, 3, T, H, W]; levels are numbered from the finest."""
    factory, before = LayerFactory(config), config.widths[-1]
    yield "conv_in", conv(config.z_channels, before)
    yield from factory.middle(before)
    for i, after in reversed(list(enumerate(config.widths))):
        yield from factory.blocks(f"up.{i}", before, after, config.blocks + 1)
        before = after
        if i:
            yield f"up.{i}.upsample", HunyuanUp2x(after, time=i <= 2)
    yield "norm_out", factory.norm(before)
    yield "conv_out", conv(before, 3)
