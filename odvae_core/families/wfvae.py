"""WF-VAE (arXiv 2411.17459): a causal network with wavelet bands as a second path beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from ..layers.attention import FrameAttention
from ..layers.coder_pass import CoderPass
from ..layers.conv import CausalConv3d, FrameConv2d
from ..layers.norm import ChannelNorm, activate
from ..layers.resample import FrameDown2x, FrameUp2x, JointDown2x, JointUp2x
from ..layers.resnet import ResnetBlock
from ..layers.stream import Step, StreamState, delay_to_match, growth_of, layer_step
from ..layers.wavelet import HaarDown2x, HaarUp2x
from ..vae import VideoVAE
from .wfvae_config import WfvaeConfig

COLOURS = 3
BANDS = {"frame": 4 * COLOURS, "joint": 8 * COLOURS}
"""Channels of the wavelet bands of a picture, and of a clip."""


class Wfvae(VideoVAE):
    """Any WF-VAE, as the configuration says.

    Its norms are over the channels of a position and its decoder looks one latent frame ahead: it
    streams exactly.
    """

    family = "wfvae"

    def __init__(self, config: WfvaeConfig):
        super().__init__()
        self.config = config
        self.temporal_compression = 8 if config.finest == "joint" else 4
        self.spatial_compression = 8
        self.latent_channels = config.z_channels
        self.latent_scale, self.latent_shift = config.latent_scale, config.latent_shift
        self.encoder = WaveletEncoder(config)
        self.decoder = WaveletDecoder(config)

    def encoder_pass(self) -> CoderPass:
        time, space = self.temporal_compression, self.spatial_compression
        return CoderPass(list(self.encoder.steps()), self.encoder, time, 1, space, 1)

    def decoder_pass(self) -> CoderPass:
        time, space = self.temporal_compression, self.spatial_compression
        return CoderPass(list(self.decoder.steps()), self.decoder, 1, time, 1, space)


class WaveletEncoder(nn.Module):
    """Video to moments of 2 z_channels; the low band of the wavelets goes along as the shortcut."""

    def __init__(self, config: WfvaeConfig):
        super().__init__()
        width, flow, joint = config.width, config.encoder_flow, config.finest == "joint"
        down = JointDown2x if joint else FrameDown2x
        self.wavelet_in = HaarDown2x(time=True)
        self.down1 = nn.ModuleList([FrameConv2d(BANDS["joint"], width)])
        self.down1.extend(block(width, width, FrameConv2d) for _ in range(config.blocks))
        self.down1.append(down(width))
        self.wavelet_l1 = HaarDown2x(joint)
        self.connect_l1 = FrameConv2d(BANDS[config.finest], flow)
        self.down2 = nn.ModuleList([FrameConv2d(width + flow, 2 * width)])
        self.down2.extend(block(2 * width, 2 * width) for _ in range(config.blocks))
        self.down2.append(JointDown2x(2 * width))
        self.wavelet_l2 = HaarDown2x(time=True)
        self.connect_l2 = FrameConv2d(BANDS["joint"], flow)
        self.mid = nn.ModuleList(middle(config, 2 * width + flow, 4 * width))
        self.norm_out = ChannelNorm(4 * width)
        self.conv_out = CausalConv3d(4 * width, 2 * config.z_channels)

    def steps(self) -> Iterator[Step]:
        yield Step(self.open)
        yield from layer_steps(self.down1[:-1])
        yield Step(partial(self.halve, self.down1[-1], self.wavelet_l1, self.connect_l1), growth=2)
        yield from layer_steps(self.down2[:-1])
        yield Step(partial(self.halve, self.down2[-1], self.wavelet_l2, self.connect_l2), growth=2)
        yield from layer_steps(self.mid)
        yield layer_step(self.finish)

    def open(self, x: Tensor, _: Tensor | None, state: StreamState | None):
        bands = self.wavelet_in(x, state)
        return bands, bands[:, :COLOURS]

    def halve(
        self,
        down: nn.Module,
        wavelet: nn.Module,
        connect: nn.Module,
        x: Tensor,
        low: Tensor | None,
        state: StreamState | None,
    ) -> tuple[Tensor, Tensor | None]:
        """Halve the features and the low band; the bands of the latter join the features.

        Both halve time with the same phase, so they always have equally many frames.
        """
        x, bands = down(x, state), wavelet(low, state)
        if not x.shape[2]:
            return x, None
        return torch.cat([x, connect(bands, state)], dim=1), bands[:, :COLOURS]

    def finish(self, x: Tensor, state: StreamState | None) -> Tensor:
        return self.conv_out(activate(self.norm_out(x, state)), state)


class WaveletDecoder(nn.Module):
    """Latents to video; the bands of the next wavelet synthesis go along as the shortcut."""

    def __init__(self, config: WfvaeConfig):
        super().__init__()
        width, joint = config.width, config.finest == "joint"
        self.flow = flow = config.decoder_flow
        up = JointUp2x if joint else FrameUp2x
        blocks = config.decoder_blocks
        self.conv_in = CausalConv3d(config.z_channels, 4 * width)
        self.mid = nn.ModuleList(middle(config, 4 * width, 4 * width, 4 * width + flow))
        self.connect_l2 = nn.ModuleList(block(flow, flow) for _ in range(config.flow_blocks))
        self.connect_l2.append(FrameConv2d(flow, BANDS["joint"]))
        self.up2 = nn.ModuleList(block(4 * width, 4 * width) for _ in range(blocks))
        self.up2.extend([JointUp2x(4 * width), block(4 * width, 4 * width + flow)])
        self.wavelet_l2 = HaarUp2x(time=True)
        self.connect_l1 = nn.ModuleList(block(flow, flow) for _ in range(config.flow_blocks))
        self.connect_l1.append(FrameConv2d(flow, BANDS[config.finest]))
        self.up1 = nn.ModuleList([block(4 * width, 2 * width)])
        self.up1.extend(block(2 * width, 2 * width) for _ in range(blocks - 1))
        self.up1.extend([up(2 * width), block(2 * width, 2 * width)])
        self.wavelet_l1 = HaarUp2x(joint)
        self.layer = nn.ModuleList([block(2 * width, width), block(width, width)])
        self.norm_out = ChannelNorm(width)
        self.conv_out = FrameConv2d(width, BANDS["joint"])
        self.wavelet_out = HaarUp2x(time=True)

    def steps(self) -> Iterator[Step]:
        yield from layer_steps([self.conv_in, *self.mid])
        yield Step(partial(self.split, self.connect_l2))
        yield from self.rise(self.up2, self.wavelet_l2)
        yield Step(partial(self.split, self.connect_l1))
        yield from self.rise(self.up1, self.wavelet_l1)
        yield from layer_steps(self.layer)
        yield Step(self.finish, growth=2)

    def rise(self, layers: nn.ModuleList, wavelet: nn.Module) -> Iterator[Step]:
        """The steps of a level: its blocks, the doubling, and a block behind it."""
        *blocks, up, last = layers
        yield from layer_steps(blocks)
        yield Step(partial(self.double, up, wavelet), growth=up.growth)  # pyright: ignore
        yield from layer_steps([last])

    def split(
        self, connect: nn.ModuleList, x: Tensor, low: Tensor | None, state: StreamState | None
    ):
        """The last channels of the features become the bands of the level."""
        bands = x[:, -self.flow :]
        for layer in connect:
            bands = layer(bands, state)
        return x[:, : -self.flow], add_low_band(bands, low)

    def double(
        self,
        up: nn.Module,
        wavelet: nn.Module,
        x: Tensor,
        bands: Tensor | None,
        state: StreamState | None,
    ) -> tuple[Tensor, Tensor | None]:
        """Double the features, and the bands to the low band of the next level.

        Linear interpolation withholds a frame of the features, so the low band is delayed.
        """
        x, low = up(x, state), wavelet(bands, state)
        return x, delay_to_match(low, x.shape[2], wavelet, state, "low")

    def finish(self, x: Tensor, low: Tensor | None, state: StreamState | None):
        bands = self.conv_out(activate(self.norm_out(x, state)), state)
        return self.wavelet_out(add_low_band(bands, low), state), None


def layer_steps(layers: Iterable[nn.Module]) -> Iterator[Step]:
    """Each layer as one step, its own shortcut inside; the other path stays in the step's."""
    for layer in layers:
        yield replace(layer_step(layer), growth=max(map(growth_of, layer.modules())))


def add_low_band(bands: Tensor, low: Tensor | None) -> Tensor:
    """Add the low band of the coarser level, if there is one, to the first channels."""
    if low is None:
        return bands
    return torch.cat([bands[:, :COLOURS] + low, bands[:, COLOURS:]], dim=1)


def block(before: int, after: int, conv: type[nn.Module] = CausalConv3d) -> ResnetBlock:
    return ResnetBlock(before, after, (conv, conv), (ChannelNorm(before), ChannelNorm(after)))


def middle(config: WfvaeConfig, *sizes: int) -> Iterator[nn.Module]:
    """Two residual blocks, through `sizes` channels, around an attention if there is one."""
    first, inner, last = (*sizes, sizes[-1])[:3]
    yield block(first, inner)
    if config.attention:
        yield FrameAttention(inner, ChannelNorm(inner))
    yield block(inner, last)
