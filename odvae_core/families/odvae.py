"""OD-VAE (arXiv 2409.01199): one wiring for the published models, the paper's variants and the 2D
SD VAE."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from ..constants import LATENT_SCALE, NORM_EPS
from ..layers.attention import FrameAttention, ScrambledAttention, TemporalAttention
from ..layers.conv import CausalConv3d, FrameConv2d
from ..layers.norm import ClipGroupNorm, FrameGroupNorm, activate
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
from ..layers.resnet import ResnetBlock, clip_norm
from ..layers.stream import Step, StreamState, layer_step
from ..schedules import Direction
from ..vae import VideoVAE
from .odvae_config import OdvaeConfig

CONVS = {"2d": FrameConv2d, "3d": CausalConv3d}
BLOCK_CONVS = {
    "2d": (FrameConv2d, FrameConv2d),
    "3d": (CausalConv3d, CausalConv3d),
    "half": (CausalConv3d, FrameConv2d),
}

# A layer's class, and how many times larger its largest tensor is than its input. A picture is padded
# before it is halved.
DOWN = {"frame": (FrameDown2x, 1.3), "space": (SpaceDown2x, 1.3), "joint": (JointDown2x, 1.3)}
DOWN_TIME = {"average": (lambda channels: AverageTimeDown2x(), 1), "mixed": (MixedTimeDown2x, 1)}
UP = {
    "frame": (FrameUp2x, 4),
    "space": (SpaceUp2x, 4),
    "joint": (JointUp2x, 8),
    "joint-nearest": (lambda channels: JointUp2x(channels, space="nearest"), 8),
}
UP_TIME = {"linear": (lambda channels: LinearTimeUp2x(), 2), "mixed": (MixedTimeUp2x, 2)}


class Odvae(VideoVAE):
    """Any OD-VAE, published or not, and the 2D SD VAE: the configuration decides."""

    family = "odvae"
    latent_scale = LATENT_SCALE
    latent_shift = 0.0

    def __init__(self, config: OdvaeConfig):
        super().__init__()
        self.config = config
        self.temporal_compression = 2**config.time_halvings
        self.spatial_compression = 2**config.space_halvings
        self.latent_channels = config.latent_channels
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        if config.quant:
            conv, z, embed = CONVS[config.quant], config.z_channels, config.embed_dim
            self.quant_conv = conv(2 * z, 2 * embed, 1)
            self.post_quant_conv = conv(embed, z, 1)

    def encoding(self) -> Direction:
        steps = list(self.encoder.steps())
        if self.config.quant:
            steps.append(layer_step(self.quant_conv))
        return Direction(
            steps, self.encoder, self.temporal_compression, 1, self.spatial_compression, 1
        )

    def decoding(self) -> Direction:
        steps = list(self.decoder.steps())
        if self.config.quant:
            steps.insert(0, layer_step(self.post_quant_conv))
        return Direction(
            steps, self.decoder, 1, self.temporal_compression, 1, self.spatial_compression
        )


# The attributes below are spelled as in the published checkpoints: down, up, block, attn, mid, nin_shortcut, norm_out ...


class Encoder(nn.Module):
    """Video [B, 3, T, H, W] to moments of 2 z_channels."""

    def __init__(self, config: OdvaeConfig):
        super().__init__()
        channels, resolution = config.width, config.resolution
        self.growth_in = channels / 3
        self.conv_in = CONVS[config.encoder_in](3, channels)
        self.down = nn.ModuleList()
        for level in config.levels:
            attention = (
                config.encoder_attention if resolution in config.attention_resolutions else ""
            )
            sizes = [channels] + [config.width * level.multiplier] * config.blocks
            stage = Stage(config, sizes, level.encoder, attention)
            stage.resample("downsample", DOWN, level.down)
            stage.resample("time_downsample", DOWN_TIME, level.down_time)
            self.down.append(stage)
            channels = sizes[-1]
            resolution //= 2 if level.down else 1
        self.mid = Middle(config, channels, config.encoder_middle, config.encoder_attention)
        self.norm_out = group_norm(config, channels)
        self.conv_out = CONVS[config.encoder_out](channels, 2 * config.z_channels)

    def steps(self) -> Iterator[Step]:
        yield layer_step(self.conv_in, growth=self.growth_in)
        for stage in self.down:
            yield from stage.steps()
        yield from self.mid.steps()
        yield layer_step(self.head, clip_norm(self.norm_out))

    def head(self, x: Tensor, state: StreamState | None) -> Tensor:
        return self.conv_out(activate(self.norm_out(x, state)), state)


class Decoder(nn.Module):
    """Latents of z_channels to video [B, 3, T, H, W]."""

    def __init__(self, config: OdvaeConfig):
        super().__init__()
        channels = config.width * config.levels[-1].multiplier
        resolution = config.resolution // 2 ** (len(config.levels) - 1)
        self.growth_in = channels / config.z_channels
        self.conv_in = CONVS[config.decoder_in](config.z_channels, channels)
        self.mid = Middle(config, channels, config.decoder_middle, config.decoder_attention)
        stages: list[Stage] = []
        for level in reversed(config.levels):
            attention = (
                config.decoder_attention if resolution in config.attention_resolutions else ""
            )
            sizes = [channels] + [config.width * level.multiplier] * (config.blocks + 1)
            stage = Stage(config, sizes, level.decoder, attention)
            stage.resample("upsample", UP, level.up)
            stage.resample("time_upsample", UP_TIME, level.up_time)
            stages.insert(0, stage)
            channels = sizes[-1]
            resolution *= 2 if level.up else 1
        self.up = nn.ModuleList(stages)
        self.norm_out = group_norm(config, channels)
        self.conv_out = CONVS[config.decoder_out](channels, 3)

    def steps(self) -> Iterator[Step]:
        yield layer_step(self.conv_in, growth=self.growth_in)
        yield from self.mid.steps()
        for stage in reversed(self.up):
            yield from stage.steps()
        yield layer_step(self.head, clip_norm(self.norm_out))

    def head(self, x: Tensor, state: StreamState | None) -> Tensor:
        return self.conv_out(activate(self.norm_out(x, state)), state)


class Stage(nn.Module):
    """One resolution: residual blocks through `sizes` channels, each with its attention if any,
    then the resampling."""

    def __init__(self, config: OdvaeConfig, sizes: list[int], kind: str, attention: str):
        super().__init__()
        self.channels = sizes[-1]
        self.block = nn.ModuleList(
            residual_block(config, before, after, kind) for before, after in pairwise(sizes)
        )
        self.attn = nn.ModuleList(
            make_attention(config, after, attention) for after in sizes[1:] if attention
        )
        self.resamplings: list[tuple[str, float]] = []

    def resample(self, name: str, layers: dict[str, Any], kind: str) -> None:
        """Add the layer `kind` as the module `name`; "" adds none."""
        if kind:
            make, growth = layers[kind]
            self.add_module(name, make(self.channels))
            self.resamplings.append((name, growth))

    def steps(self) -> Iterator[Step]:
        for i, block in enumerate(self.block):
            yield from block.steps()
            if self.attn:
                yield layer_step(self.attn[i], clip_norm(self.attn[i].norm))
        for name, growth in self.resamplings:
            yield layer_step(getattr(self, name), growth=growth)


class Middle(nn.Module):
    """Two residual blocks around an attention, at the coarsest resolution."""

    def __init__(self, config: OdvaeConfig, channels: int, kind: str, attention: str):
        super().__init__()
        self.block_1 = residual_block(config, channels, channels, kind)
        self.attn_1 = make_attention(config, channels, attention)
        self.block_2 = residual_block(config, channels, channels, kind)

    def steps(self) -> Iterator[Step]:
        yield from self.block_1.steps()
        yield layer_step(self.attn_1, clip_norm(self.attn_1.norm))
        yield from self.block_2.steps()


def group_norm(config: OdvaeConfig, channels: int, kind: str = "3d") -> nn.GroupNorm:
    """Over the frame in 2D layers, else as the configuration says."""
    per_frame = kind == "2d" or config.norm == "frame"
    return (FrameGroupNorm if per_frame else ClipGroupNorm)(config.norm_groups, channels, NORM_EPS)


def residual_block(config: OdvaeConfig, before: int, after: int, kind: str) -> ResnetBlock:
    norms = group_norm(config, before, kind), group_norm(config, after, kind)
    return ResnetBlock(before, after, BLOCK_CONVS[kind], norms)


def make_attention(config: OdvaeConfig, channels: int, kind: str) -> FrameAttention:
    norm = group_norm(config, channels, kind)
    if kind == "2d":
        return FrameAttention(channels, norm, FrameConv2d)
    classes = {
        "frame": FrameAttention,
        "scrambled": ScrambledAttention,
        "temporal": TemporalAttention,
    }
    return classes[kind](channels, norm)
