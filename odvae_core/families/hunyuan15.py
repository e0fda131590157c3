"""HunyuanVideo 1.5's VAE: pixels folded into channels, and norms per position, so it streams."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from torch import nn

from ..layers.coder import Coder
from ..layers.coder_pass import CoderPass
from ..layers.conv import CausalConv3d
from ..layers.folding import FoldDown2x, MeansCoder, RepeatConv3d, UnfoldUp2x
from ..layers.norm import RMSNorm
from ..layers.resnet import ResnetBlock
from ..vae import VideoVAE
from .hunyuan import ATTENTIONS
from .hunyuan15_config import Hunyuan15Config

Layers = Iterator[tuple[str, nn.Module]]

conv = partial(CausalConv3d, space="replicate")
norm = partial(RMSNorm, branches=1)


class Hunyuan15(VideoVAE):
    """A HunyuanVideo 1.5 VAE, as the configuration says."""

    family = "hunyuan15"

    def __init__(self, config: Hunyuan15Config):
        super().__init__()
        self.config = config
        self.temporal_compression = 4
        self.spatial_compression = 2 ** (len(config.multipliers) - 1)
        self.latent_channels = config.z_channels
        self.latent_scale, self.latent_shift = config.latent_scale, config.latent_shift
        self.encoder = MeansCoder(encoder_layers(config))
        self.decoder = Coder(decoder_layers(config))

    def encoder_pass(self) -> CoderPass:
        steps = list(self.encoder.steps())
        return CoderPass(steps, self.encoder, 4, 1, self.spatial_compression, 1)

    def decoder_pass(self) -> CoderPass:
        steps = list(self.decoder.steps())
        return CoderPass(steps, self.decoder, 1, 4, 1, self.spatial_compression)


def encoder_layers(config: Hunyuan15Config) -> Layers:
    """The layers from video [B, 3, T, H, W] to moments of 2 z_channels."""
    widths = config.widths
    yield "conv_in", conv(3, widths[0])
    for i, channels in enumerate(widths):
        yield from blocks(f"down.{i}", channels, config.blocks)
        if i < len(widths) - 1:
            time = i >= len(widths) - 3
            yield f"down.{i}.downsample", FoldDown2x(channels, widths[i + 1], time)
    yield from middle_layers(config)
    yield "norm_out", norm(widths[-1])
    yield "conv_out", conv(widths[-1], 2 * config.z_channels)


def decoder_layers(config: Hunyuan15Config) -> Layers:
    """The layers from z_channels to video [B, 3, T, H, W]; the coarsest level is number 0."""
    widths = config.widths[::-1]
    yield "conv_in", RepeatConv3d(config.z_channels, widths[0])
    yield from middle_layers(config)
    for i, channels in enumerate(widths):
        yield from blocks(f"up.{i}", channels, config.blocks + 1)
        if i < len(widths) - 1:
            yield f"up.{i}.upsample", UnfoldUp2x(channels, widths[i + 1], time=i < 2)
    yield "norm_out", norm(widths[-1])
    yield "conv_out", conv(widths[-1], 3)


def blocks(name: str, channels: int, count: int) -> Layers:
    for i in range(count):
        yield f"{name}.block.{i}", residual_block(channels)


def residual_block(channels: int) -> ResnetBlock:
    return ResnetBlock(channels, channels, (conv, conv), (norm(channels), norm(channels)))


def middle_layers(config: Hunyuan15Config) -> Layers:
    """Two residual blocks around an attention, at the coarsest resolution."""
    channels = config.widths[-1]
    attention = ATTENTIONS[config.attention]
    yield "mid.block_1", residual_block(channels)
    yield "mid.attn_1", attention(channels, norm(channels), nn.Conv3d)
    yield "mid.block_2", residual_block(channels)
