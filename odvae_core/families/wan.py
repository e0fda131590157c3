"""Wan's VAEs, 2.1 (arXiv 2503.20314) and 2.2: causal, no norm over time, so they stream exactly."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import chain, pairwise

from einops import rearrange
from torch import Tensor, nn

from ..layers.attention import FrameQkvAttention
from ..layers.centred import ClipConv3d
from ..layers.coder import Coder
from ..layers.coder_pass import CoderPass
from ..layers.norm import RMSNorm
from ..layers.reach import Reach
from ..layers.resnet import ResnetBlock
from ..layers.stream import StreamState, layer_step
from ..layers.wan import MeanDown2x, RepeatUp2x, WanDown2x, WanStage, WanUp2x
from ..vae import VideoVAE
from .wan_config import WanConfig

Layers = Iterator[tuple[str, nn.Module]]

conv = partial(ClipConv3d, ends="causal-zeros")
norm = partial(RMSNorm, branches=1)


class WanBlock(ResnetBlock):
    """The residual block in Wan's names."""

    names = ("residual.0", "residual.2", "residual.3", "residual.6", "shortcut")


class Wan(VideoVAE):
    """A Wan VAE, as the configuration says."""

    family = "wan"

    def __init__(self, config: WanConfig):
        super().__init__()
        self.config, self.patch, z = config, config.patch, config.z_channels
        self.temporal_compression = 4
        self.spatial_compression = config.patch * 2 ** (len(config.multipliers) - 1)
        self.latent_channels = z
        self.latent_scale, self.latent_shift = config.latent_scale, config.latent_shift
        self.encoder = Coder(encoder_layers(config))
        self.conv1 = conv(2 * z, 2 * z, 1)
        self.conv2 = conv(z, z, 1)
        self.decoder = Coder(decoder_layers(config))

    def encoder_pass(self) -> CoderPass:
        steps = [*self.encoder.steps(), layer_step(self.conv1)]
        if self.patch > 1:
            steps.insert(0, layer_step(self.fold_pixels, reach=Reach(down=self.patch)))
        return CoderPass(steps, self.encoder, 4, 1, self.spatial_compression, 1)

    def decoder_pass(self) -> CoderPass:
        steps = [layer_step(self.conv2), *self.decoder.steps()]
        if self.patch > 1:
            steps.append(layer_step(self.unfold_pixels, reach=Reach(up=self.patch)))
        return CoderPass(steps, self.decoder, 1, 4, 1, self.spatial_compression)

    def fold_pixels(self, video: Tensor, _: StreamState | None) -> Tensor:
        """Squares of pixels into channels: [B, 3, T, pH, pW] -> [B, 3 p p, T, H, W]."""
        p = self.patch
        return rearrange(video, "b c t (h q) (w r) -> b (c r q) t h w", q=p, r=p)

    def unfold_pixels(self, x: Tensor, _: StreamState | None) -> Tensor:
        """The inverse of `fold_pixels`."""
        p = self.patch
        return rearrange(x, "b (c r q) t h w -> b c t (h q) (w r)", q=p, r=p)


def encoder_layers(config: WanConfig) -> Layers:
    """The layers from pixels [B, 3 p p, T, H, W] to 2 z_channels, before the last convolution."""
    sizes = [config.width, *config.widths]
    yield "conv1", conv(3 * config.patch**2, config.width)
    levels = [down_layers(config, i, pair) for i, pair in enumerate(pairwise(sizes))]
    yield from place_levels("downsamples", levels)
    yield from middle_layers(sizes[-1])
    yield "head.0", norm(sizes[-1])
    yield "head.2", conv(sizes[-1], 2 * config.z_channels)


def decoder_layers(config: WanConfig) -> Layers:
    """The layers from z_channels to pixels [B, 3 p p, T, H, W]."""
    sizes = [config.decoder_width * m for m in (config.multipliers[-1], *config.multipliers[::-1])]
    yield "conv1", conv(config.z_channels, sizes[0])
    yield from middle_layers(sizes[0])
    levels = [up_layers(config, i, pair) for i, pair in enumerate(pairwise(sizes))]
    yield from place_levels("upsamples", levels)
    yield "head.0", norm(sizes[-1])
    yield "head.2", conv(sizes[-1], 3 * config.patch**2)


def place_levels(name: str, levels: list[list[nn.Module]]) -> Layers:
    """The layers of all levels, numbered through."""
    yield from ((f"{name}.{i}", layer) for i, layer in enumerate(chain(*levels)))


def middle_layers(channels: int) -> Layers:
    yield "middle.0", WanBlock(channels, channels, (conv, conv), (norm(channels), norm(channels)))
    yield "middle.1", FrameQkvAttention(channels)
    yield "middle.2", WanBlock(channels, channels, (conv, conv), (norm(channels), norm(channels)))


def residual_blocks(before: int, after: int, count: int) -> list[nn.Module]:
    """As many blocks, the first of which changes the channels."""
    sizes = [before] + [after] * count
    return [WanBlock(a, b, (conv, conv), (norm(a), norm(b))) for a, b in pairwise(sizes)]


def down_layers(config: WanConfig, level: int, sizes: tuple[int, int]) -> list[nn.Module]:
    """The encoder's layers of a level, from fine to coarse; in 2.2 they are one."""
    before, after = sizes
    halvings = len(config.multipliers) - 1
    space, time = level < halvings, halvings - 2 <= level < halvings
    layers = residual_blocks(before, after, config.blocks)
    if space:
        layers.append(WanDown2x(after, time))
    if config.design == "2.1":
        return layers
    growth = 1.3 * max(1.0, after / before)
    return [WanStage("downsamples", layers, MeanDown2x(after, time, space), growth)]


def up_layers(config: WanConfig, level: int, sizes: tuple[int, int]) -> list[nn.Module]:
    """The decoder's layers of a level, from coarse to fine; in 2.2 they are one."""
    before, after = sizes
    space, time = level < len(config.multipliers) - 1, level < 2
    if config.design == "2.2":
        layers = residual_blocks(before, after, config.blocks + 1)
        around = RepeatUp2x(before, after, time) if space else None
        if space:
            layers.append(WanUp2x(after, after, time))
        growth = (8 if time else 4 if space else 1) * max(1.0, after / before)
        return [WanStage("upsamples", layers, around, growth)]
    layers = residual_blocks(before // 2 if level else before, after, config.blocks + 1)
    if space:
        layers.append(WanUp2x(after, after // 2, time))
    return layers
