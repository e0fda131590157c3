"""CV-VAE (arXiv 2405.20279): a video VAE in the latent space of Stable Diffusion or of SD3."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from torch import nn

from ..layers.attention import FrameAttention, LinearFrameAttention, SpaceTimeAttention
from ..layers.centred import ClipConv3d, ClipDown2x, ClipUp2x, Edge
from ..layers.coder import Coder
from ..layers.coder_pass import CoderPass
from ..layers.conv import FrameConv2d
from ..layers.norm import ClipGroupNorm, FrameGroupNorm
from ..layers.resnet import DiffusersBlock, ResnetBlock
from ..vae import VideoVAE
from .cvvae_config import CvvaeConfig

Layers = Iterator[tuple[str, nn.Module]]


@dataclass(frozen=True)
class Parent:
    """The properties that a network shares with the 2D VAE of the same latent space.

    `names` are those of the checkpoints, with {level} from fine to coarse and {turn} in the order
    in which the decoder runs; `space` pads a 3D convolution around the picture, `ends` a centred
    one in time; `shortcut` makes a block's 1x1 convolution, by default as its first. Layers that
    halve or double are causal or centred like the others, or else, as published with SD's, halving
    ones always causal and doubling ones always centred.
    """

    names: dict[str, str]
    norm_eps: float
    space: Edge
    ends: str
    block: type[ResnetBlock]
    shortcut: Callable[..., nn.Module] | None
    attention: Callable[[int, nn.Module], nn.Module]
    resamples_alike: bool


PARENTS = {
    "sd2": Parent(
        names={
            "down": "down.{level}.downsample",
            "down_block": "down.{level}.block.{i}",
            "down_attention": "down.{level}.attn.{i}",
            "up": "up.{level}.upsample",
            "up_block": "up.{level}.block.{i}",
            "up_attention": "up.{level}.attn.{i}",
            "first": "mid.block_1",
            "attention": "mid.attn_1",
            "second": "mid.block_2",
            "norm": "norm_out",
        },
        norm_eps=1e-5,
        space="zeros",
        ends="zeros",
        block=ResnetBlock,
        shortcut=None,
        attention=partial(FrameAttention, conv=FrameConv2d),
        resamples_alike=False,
    ),
    "sd3": Parent(
        names={
            "down": "down_blocks.{level}.downsamplers.0",
            "down_block": "down_blocks.{level}.resnets.{i}",
            "up": "up_blocks.{turn}.upsamplers.0",
            "up_block": "up_blocks.{turn}.resnets.{i}",
            "first": "mid_block.resnets.0",
            "attention": "mid_block.attentions.0",
            "second": "mid_block.resnets.1",
            "norm": "conv_norm_out",
        },
        norm_eps=1e-6,
        space="replicate",
        ends="replicate",
        block=DiffusersBlock,
        shortcut=FrameConv2d,
        attention=LinearFrameAttention,
        resamples_alike=True,
    ),
}


class Cvvae(VideoVAE):
    """Any CV-VAE, as the configuration says.

    Its decoder is not causal: a frame depends on later ones, with space-time attention on all.
    """

    family = "cvvae"

    def __init__(self, config: CvvaeConfig):
        super().__init__()
        self.config = config
        self.temporal_compression = 2**config.time_halvings
        self.spatial_compression = 2**config.space_halvings
        self.latent_channels = config.z_channels
        self.latent_scale, self.latent_shift = config.latent_scale, config.latent_shift
        self.encoder = Coder(encoder_layers(config))
        self.decoder = Coder(decoder_layers(config))

    def encoder_pass(self) -> CoderPass:
        time, space = self.temporal_compression, self.spatial_compression
        return CoderPass(list(self.encoder.steps()), self.encoder, time, 1, space, 1)

    def decoder_pass(self) -> CoderPass:
        time, space = self.temporal_compression, self.spatial_compression
        return CoderPass(list(self.decoder.steps()), self.decoder, 1, time, 1, space)


class LayerFactory:
    """Makes the layers of an encoder or a decoder."""

    def __init__(self, config: CvvaeConfig, time: str, attention: str):
        self.config, self.attention_kind = config, attention
        self.parent = PARENTS[config.parent]
        self.names = self.parent.names
        self.ends = "causal" if time == "causal" else self.parent.ends
        self.conv = partial(ClipConv3d, ends=self.ends, space=self.parent.space)

    def down(self, channels: int, kind: str) -> ClipDown2x:
        ends = self.ends if self.parent.resamples_alike else "causal"
        return ClipDown2x(channels, kind == "joint", ends, self.parent.space)

    def up(self, channels: int, kind: str) -> ClipUp2x:
        ends = self.ends if self.parent.resamples_alike else "replicate"
        return ClipUp2x(channels, kind == "joint", ends, self.parent.space)

    def norm(self, channels: int) -> ClipGroupNorm:
        return ClipGroupNorm(self.config.norm_groups, channels, self.parent.norm_eps)

    def block(self, before: int, after: int) -> ResnetBlock:
        convs = self.conv, FrameConv2d if self.config.second_conv == "2d" else self.conv
        norms = self.norm(before), self.norm(after)
        return self.parent.block(before, after, convs, norms, self.parent.shortcut)

    def attention(self, channels: int) -> nn.Module:
        norm = FrameGroupNorm(self.config.norm_groups, channels, self.parent.norm_eps)
        make = SpaceTimeAttention if self.attention_kind == "space-time" else self.parent.attention
        return make(channels, norm)

    def middle(self, channels: int) -> Layers:
        yield self.names["first"], self.block(channels, channels)
        yield self.names["attention"], self.attention(channels)
        yield self.names["second"], self.block(channels, channels)

    def blocks(self, side: str, sizes: list[int], attends: bool, **where: int) -> Layers:
        """Residual blocks through `sizes` channels, each with its attention if there is one."""
        names = self.names
        for i, (before, after) in enumerate(pairwise(sizes)):
            yield names[f"{side}_block"].format(i=i, **where), self.block(before, after)
            if attends:
                yield names[f"{side}_attention"].format(i=i, **where), self.attention(after)

    def attends(self, level: int) -> bool:
        return self.config.resolution // 2**level in self.config.attention_resolutions


def encoder_layers(config: CvvaeConfig) -> Layers:
    """The layers from video [B, 3, T, H, W] to moments of 2 z_channels."""
    factory = LayerFactory(config, config.encoder_time, config.encoder_attention)
    channels = config.levels[0].channels
    yield "conv_in", factory.conv(3, channels)
    for i, level in enumerate(config.levels):
        sizes = [channels] + [level.channels] * config.blocks
        yield from factory.blocks("down", sizes, factory.attends(i), level=i)
        channels = level.channels
        if level.down:
            yield factory.names["down"].format(level=i), factory.down(channels, level.down)
    yield from factory.middle(channels)
    yield factory.names["norm"], factory.norm(channels)
    yield "conv_out", factory.conv(channels, 2 * config.z_channels)


def decoder_layers(config: CvvaeConfig) -> Layers:
    """The layers from latents of z_channels to video [B, 3, T, H, W]."""
    factory = LayerFactory(config, config.decoder_time, config.decoder_attention)
    channels = config.levels[-1].channels
    yield "conv_in", factory.conv(config.z_channels, channels)
    yield from factory.middle(channels)
    for turn, level in enumerate(reversed(config.levels)):
        where = {"level": len(config.levels) - 1 - turn, "turn": turn}
        sizes = [channels] + [level.channels] * (config.blocks + 1)
        yield from factory.blocks("up", sizes, factory.attends(where["level"]), **where)
        channels = level.channels
        if level.up:
            yield factory.names["up"].format(**where), factory.up(channels, level.up)
    yield factory.names["norm"], factory.norm(channels)
    yield "conv_out", factory.conv(channels, 3)
