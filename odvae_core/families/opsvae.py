"""OPS-VAE (Open-Sora 1.2): a 2D VAE of each frame, and a causal network over time behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..constants import LATENT_SCALE, NORM_EPS
from ..layers.attention import LinearFrameAttention
from ..layers.coder import Coder, add_submodule
from ..layers.coder_pass import CoderPass
from ..layers.conv import FrameConv2d
from ..layers.norm import ClipGroupNorm, FrameGroupNorm
from ..layers.resample import FrameDown2x, FrameUp2x
from ..layers.resnet import DiffusersBlock, ResnetBlock
from ..layers.stream import Step, StreamState, layer_step
from ..layers.zero_causal import DepthToTime2x, DropFront, PadFront, ZeroCausalConv3d
from ..schedules import Pieces, Schedule
from ..vae import VideoVAE
from .opsvae_config import OpsvaeConfig

Layers = Iterator[tuple[str, nn.Module]]

CLIP_NORM_EPS = 1e-5
"""GroupNorm's epsilon in the network over time."""


class TimeBlock(ResnetBlock):
    """The residual block of the network over time."""

    names = (*ResnetBlock.names[:4], "conv3")


class Opsvae(VideoVAE):
    """The VAE of Open-Sora 1.2.

    As published, a clip is cut into pieces of 17 frames that are clips of their own: `Pieces` is
    its default schedule. Longer clips in one piece are possible, but it was trained on fewer than
    34 frames.
    """

    family = "opsvae"

    def __init__(self, config: OpsvaeConfig):
        super().__init__()
        self.config = config
        self.temporal_compression = 2 ** sum(config.halves_time)
        self.spatial_compression = 2 ** (len(config.image_widths) - 1)
        self.latent_channels = z = config.z_channels
        self.latent_scale, self.latent_shift = config.latent_scale, config.latent_shift
        self.piece_frames = config.piece_frames
        self.stream_schedule = Pieces(config.piece_frames)
        for name, layer in stages(config):
            add_submodule(self, name, layer)
        scale, shift = (torch.tensor(f).expand(z) for f in (self.latent_scale, self.latent_shift))
        self.register_buffer("scale", 1 / scale.view(1, z, 1, 1, 1))
        self.register_buffer("shift", shift.clone().view(1, z, 1, 1, 1))

    def encoder_pass(self) -> CoderPass:
        time, space = self.temporal_compression, self.spatial_compression
        starts = self.encoder_steps
        return CoderPass(starts(1), self, time, 1, space, 1, starts)

    def decoder_pass(self) -> CoderPass:
        time, space = self.temporal_compression, self.spatial_compression
        starts = self.decoder_steps
        return CoderPass(starts(1), self, 1, time, 1, space, starts)

    def encoder_steps(self, first: int) -> Sequence[Step]:
        """The steps for a clip whose first latent frame stands for `first` frames."""
        image, time = self.get_submodule("spatial_vae.module"), self.get_submodule("temporal_vae")
        return [
            *image.get_submodule("encoder").steps(),  # pyright: ignore
            layer_step(image.get_submodule("quant_conv")),
            layer_step(scale_mean),
            layer_step(PadFront(self.temporal_compression - first)),
            *time.get_submodule("encoder").steps(),  # pyright: ignore
            layer_step(time.get_submodule("quant_conv")),
        ]

    def decoder_steps(self, first: int) -> Sequence[Step]:
        """The steps for a clip whose first latent frame stands for `first` frames."""
        image, time = self.get_submodule("spatial_vae.module"), self.get_submodule("temporal_vae")
        return [
            layer_step(time.get_submodule("post_quant_conv")),
            *time.get_submodule("decoder").steps(),  # pyright: ignore
            layer_step(DropFront(self.temporal_compression - first)),
            layer_step(unscale),
            layer_step(image.get_submodule("post_quant_conv")),
            *image.get_submodule("decoder").steps(),  # pyright: ignore
        ]

    def default_schedule(self, coder: CoderPass, clip: Tensor) -> Schedule:
        """As published, also where a gradient is recorded."""
        return self.stream_schedule

    def check_frames(self, frames: int, schedule: Schedule | None = None) -> None:
        """Any number in pieces, which check theirs; else as every VAE."""
        if not frames or not isinstance(schedule or self.stream_schedule, Pieces):
            super().check_frames(frames, schedule)


def scale_mean(moments: Tensor, _: StreamState | None) -> Tensor:
    """The mean of the 2D VAE's posterior, scaled as published. The authors sample it."""
    return moments.chunk(2, dim=1)[0] * LATENT_SCALE


def unscale(latent: Tensor, _: StreamState | None) -> Tensor:
    return latent / LATENT_SCALE


def stages(config: OpsvaeConfig) -> Layers:
    """Both stages under their published names."""
    z = config.z_channels
    yield "spatial_vae.module.encoder", Coder(image_encoder_layers(config))
    yield "spatial_vae.module.decoder", Coder(image_decoder_layers(config))
    yield "spatial_vae.module.quant_conv", FrameConv2d(2 * z, 2 * z, 1)
    yield "spatial_vae.module.post_quant_conv", FrameConv2d(z, z, 1)
    yield "temporal_vae.encoder", Coder(time_encoder_layers(config))
    yield "temporal_vae.quant_conv", ZeroCausalConv3d(2 * z, 2 * z, 1)
    yield "temporal_vae.post_quant_conv", ZeroCausalConv3d(z, z, 1)
    yield "temporal_vae.decoder", Coder(time_decoder_layers(config))


def image_encoder_layers(config: OpsvaeConfig) -> Layers:
    """The layers from frames to moments of 2 z_channels, in diffusers' names."""
    widths = config.image_widths
    yield "conv_in", FrameConv2d(3, widths[0])
    for i, (before, after) in enumerate(pairwise((widths[0], *widths))):
        sizes = [before] + [after] * config.image_blocks
        yield from image_blocks(config, f"down_blocks.{i}.resnets", sizes)
        if i < len(widths) - 1:
            yield f"down_blocks.{i}.downsamplers.0", FrameDown2x(after)
    yield from image_middle(config, widths[-1])
    yield "conv_norm_out", frame_norm(config, widths[-1])
    yield "conv_out", FrameConv2d(widths[-1], 2 * config.z_channels)


def image_decoder_layers(config: OpsvaeConfig) -> Layers:
    """The layers from latents of z_channels to frames, in diffusers' names."""
    widths = config.image_widths[::-1]
    yield "conv_in", FrameConv2d(config.z_channels, widths[0])
    yield from image_middle(config, widths[0])
    for i, (before, after) in enumerate(pairwise((widths[0], *widths))):
        sizes = [before] + [after] * (config.image_blocks + 1)
        yield from image_blocks(config, f"up_blocks.{i}.resnets", sizes)
        if i < len(widths) - 1:
            yield f"up_blocks.{i}.upsamplers.0", FrameUp2x(after)
    yield "conv_norm_out", frame_norm(config, widths[-1])
    yield "conv_out", FrameConv2d(widths[-1], 3)


def image_blocks(config: OpsvaeConfig, owner: str, sizes: list[int]) -> Layers:
    for i, (before, after) in enumerate(pairwise(sizes)):
        norms = frame_norm(config, before), frame_norm(config, after)
        convs = FrameConv2d, FrameConv2d
        yield f"{owner}.{i}", DiffusersBlock(before, after, convs, norms)


def image_middle(config: OpsvaeConfig, width: int) -> Layers:
    (first, second) = image_blocks(config, "mid_block.resnets", [width, width, width])
    yield first
    yield "mid_block.attentions.0", LinearFrameAttention(width, frame_norm(config, width))
    yield second


def frame_norm(config: OpsvaeConfig, channels: int) -> FrameGroupNorm:
    return FrameGroupNorm(config.norm_groups, channels, NORM_EPS)


def time_encoder_layers(config: OpsvaeConfig) -> Layers:
    """The layers from latents of the frames to 2 z_channels, time halved."""
    widths = config.widths
    yield "conv_in", ZeroCausalConv3d(config.z_channels, widths[0], bias=False)
    for i, (before, after) in enumerate(pairwise((widths[0], *widths))):
        yield from time_blocks(config, f"block_res_blocks.{i}", before, after)
        if i < len(widths) - 1 and config.halves_time[i]:
            yield f"conv_blocks.{i}", ZeroCausalConv3d(after, after, time_stride=2)
    yield from time_blocks(config, "res_blocks", widths[-1], widths[-1])
    yield "norm1", clip_norm(config, widths[-1])
    yield "conv2", ZeroCausalConv3d(widths[-1], 2 * config.z_channels, 1)


def time_decoder_layers(config: OpsvaeConfig) -> Layers:
    """The layers from latents of z_channels to latents of the frames."""
    widths = config.widths
    yield "conv1", ZeroCausalConv3d(config.z_channels, widths[-1])
    yield from time_blocks(config, "res_blocks", widths[-1], widths[-1])
    before = widths[-1]
    for i, after in reversed(list(enumerate(widths))):
        yield from time_blocks(config, f"block_res_blocks.{i}", before, after)
        if i and config.halves_time[i - 1]:
            yield f"conv_blocks.{i - 1}", DepthToTime2x(after)
        before = after
    yield "norm1", clip_norm(config, widths[0])
    yield "conv_out", ZeroCausalConv3d(widths[0], config.z_channels)


def time_blocks(config: OpsvaeConfig, owner: str, before: int, after: int) -> Layers:
    conv = partial(ZeroCausalConv3d, bias=False)
    for i, (fewer, more) in enumerate(pairwise([before] + [after] * config.blocks)):
        norms = clip_norm(config, fewer), clip_norm(config, more)
        yield f"{owner}.{i}", TimeBlock(fewer, more, (conv, conv), norms)


def clip_norm(config: OpsvaeConfig, channels: int) -> ClipGroupNorm:
    return ClipGroupNorm(config.norm_groups, channels, CLIP_NORM_EPS)
