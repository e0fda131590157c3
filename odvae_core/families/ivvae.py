"""IV-VAE (arXiv 2411.06449): a keyframe branch and a motion branch, causal from group to group."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from ..layers.centred import ClipConv3d
from ..layers.coder import Coder
from ..layers.coder_pass import CoderPass
from ..layers.group_causal import GroupCausalConv3d
from ..layers.norm import RMSNorm
from ..layers.separated import (
    AtrousConvs,
    MergeKeyframes,
    SeparatedAttention,
    SeparatedBlock,
    SeparatedConv3d,
    SeparatedDown2x,
    SeparatedUp2x,
    SharedConv2d,
)
from ..layers.stream import StreamState, layer_step
from ..layers.unseparated import SeparatedCausalConv3d, UnseparatedDown2x, UnseparatedUp2x
from ..posterior import Posterior
from ..vae import VideoVAE
from .ivvae_config import IvvaeConfig

Layers = Iterator[tuple[str, nn.Module]]


class Ivvae(VideoVAE):
    """Any IV-VAE, or its 2D parent, as the configuration says.

    No latent depends on later groups of four frames, no norm spans the clip: it streams exactly.
    """

    family = "ivvae"

    def __init__(self, config: IvvaeConfig):
        super().__init__()
        self.config = config
        self.parts = config.parts
        self.temporal_compression = 4 if config.branches == 2 else 1
        self.spatial_compression = 2 ** (len(config.multipliers) - 1)
        self.latent_channels = config.z_channels
        self.latent_scale, self.latent_shift = config.latent_scale, config.latent_shift
        z, conv = config.z_channels, LayerFactory(config).conv
        self.encoder = Coder(encoder_layers(config))
        self.conv1 = conv(2 * z, 2 * z, 1)
        self.conv2 = conv(z, z, 1)
        self.decoder = Coder(decoder_layers(config))
        self.merge = MergeKeyframes()

    def encoder_pass(self) -> CoderPass:
        steps = [*self.encoder.steps(), layer_step(self.sort_moments, like=self.conv1)]
        time, space = self.temporal_compression, self.spatial_compression
        return CoderPass(steps, self.encoder, time, 1, space, 1)

    def decoder_pass(self) -> CoderPass:
        steps = [layer_step(self.conv2), *self.decoder.steps()]
        if self.parts == 2:
            steps.append(layer_step(self.merge))
        time, space = self.temporal_compression, self.spatial_compression
        return CoderPass(steps, self.decoder, 1, time, 1, space)

    def sort_moments(self, x: Tensor, state: StreamState | None) -> Tensor:
        """Means and log variances of each half, to all means and all log variances."""
        halves = self.conv1(x, state).chunk(self.parts, dim=1)
        means, logvars = zip(*(half.chunk(2, dim=1) for half in halves), strict=True)
        return torch.cat([*means, *logvars], dim=1)

    def posterior(self, moments: Tensor) -> Posterior:
        """As published, the log variance is not clamped."""
        return Posterior.from_moments(moments, clamp=False)


def choose_conv(config: IvvaeConfig) -> Callable[..., nn.Module]:
    """The convolutions of a network, made from two numbers of channels and a kernel size."""
    if config.parts == 2:
        return SeparatedConv3d if config.grouped else SeparatedCausalConv3d
    if config.branches == 1:
        return partial(SeparatedConv3d, branches=1)
    return GroupCausalConv3d if config.grouped else ClipConv3d


class LayerFactory:
    """Makes the layers of a network; channel counts include both halves."""

    def __init__(self, config: IvvaeConfig):
        self.config, self.parts = config, config.parts
        self.coarsest = len(config.multipliers) - 1
        self.conv = choose_conv(config)
        self.norm = partial(RMSNorm, branches=self.parts)
        self.attention = partial(SeparatedAttention, branches=self.parts)
        self.channels = [config.branches * config.width * m for m in config.multipliers]
        self.finest_channels = config.branches * config.width

    def conv_in_groups(self, group: int) -> Callable[..., nn.Module]:
        """A 3D convolution over groups of so many frames, where groups are switched on."""
        return partial(self.conv, group=group) if self.config.grouped else self.conv

    def block(self, before: int, after: int, level: int) -> SeparatedBlock:
        """At the coarsest level there is one frame to a group: its blocks are 2D."""
        group = 2 if level == self.coarsest - 1 else 4
        conv = SharedConv2d if level == self.coarsest else self.conv_in_groups(group)
        return SeparatedBlock(before, after, (conv, conv), (self.norm(before), self.norm(after)))

    def blocks(self, before: int, after: int, level: int, count: int) -> Iterator[nn.Module]:
        for _ in range(count):
            yield self.block(before, after, level)
            before = after
            if level == self.coarsest and self.config.perception:
                yield self.attention(after)

    def halves_time(self, level: int) -> bool:
        """Whether time is halved behind this level; the 2D VAE has none."""
        return self.config.branches == 2 and level >= self.coarsest - 2

    def down2x(self, channels: int, level: int) -> nn.Module:
        if self.halves_time(level) and not self.config.keyframes:
            return UnseparatedDown2x(channels)
        return SeparatedDown2x(channels, self.halves_time(level), self.parts)

    def up2x(self, channels: int, level: int) -> nn.Module:
        if self.halves_time(level - 1) and not self.config.keyframes:
            return UnseparatedUp2x(channels)
        return SeparatedUp2x(channels, self.halves_time(level - 1), self.parts)

    def middle(self) -> Layers:
        channels = self.channels[-1]
        yield "middle.0", self.block(channels, channels, self.coarsest)
        yield "middle.1", self.attention(channels)
        yield "middle.2", self.block(channels, channels, self.coarsest)

    def last_conv(self, before: int, after: int) -> nn.Module:
        """The encoder's last convolution."""
        if self.config.perception:
            return AtrousConvs(before, after, self.parts)
        return SharedConv2d(before, after)

    def down(self) -> Iterator[nn.Module]:
        before = self.finest_channels
        for level, channels in enumerate(self.channels):
            yield from self.blocks(before, channels, level, self.config.blocks)
            before = channels
            if level < self.coarsest:
                yield self.down2x(channels, level)
            if level == self.coarsest - 1 and self.config.perception:
                yield self.attention(channels)

    def up(self) -> Iterator[nn.Module]:
        before = self.channels[-1]
        for level in range(self.coarsest, -1, -1):
            channels = self.channels[level]
            yield from self.blocks(before, channels, level, self.config.blocks + 1)
            if level:
                yield self.up2x(channels, level)
            before = channels // 2


def encoder_layers(config: IvvaeConfig) -> Layers:
    """The layers from video [B, 3, T, H, W] to 2 z_channels, before the last convolution."""
    factory = LayerFactory(config)
    yield "conv1", factory.conv(3, factory.finest_channels)
    yield from ((f"downsamples.{i}", layer) for i, layer in enumerate(factory.down()))
    yield from factory.middle()
    yield "head.0", factory.norm(factory.channels[-1])
    yield "head.2", factory.last_conv(factory.channels[-1], 2 * config.z_channels)


def decoder_layers(config: IvvaeConfig) -> Layers:
    """The layers from z_channels to the frames of each half [B, 3 or 6, T, H, W]."""
    factory = LayerFactory(config)
    yield "conv1", SharedConv2d(config.z_channels, factory.channels[-1])
    yield from factory.middle()
    yield from ((f"upsamples.{i}", layer) for i, layer in enumerate(factory.up()))
    yield "head.0", factory.norm(factory.channels[0])
    yield "head.2", factory.conv(factory.channels[0], 3 * config.parts)
