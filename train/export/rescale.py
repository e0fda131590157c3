"""Smaller activations by a change of the weights, so that they stay in the range of float16."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from odvae_core.layers.attention import FrameAttention
from odvae_core.layers.coder import Coder
from odvae_core.layers.conv import CausalConv3d, FrameConv2d
from odvae_core.layers.resample import MixedTimeDown2x, MixedTimeUp2x
from odvae_core.layers.resnet import ResnetBlock
from odvae_core.vae import VideoVAE

from ..data.render import render_clip
from ..data.textures import draw_texture
from ..keyed_random import KeyedRandom
from .normalise import find_conv

LIMIT = 1024.0
"""The largest rescaled activation on the rendered clip; float16 ends at 65,504. Activations of a
720p picture are about three times as large, those of noise or a flat colour are not larger.
"""

FRAMES, SIZE = 5, 128
"""The shape of the rendered clip."""


@dataclass
class Span:
    """The residual features between two convolutions that replace them; one factor scales them.

    `opening` computes them from those of the span before, `adding` add to them, `mixing` take and
    return them. `readers` are the modules whose input they are.
    """

    opening: nn.Module
    adding: list[nn.Module] = field(default_factory=list)
    mixing: list[nn.Module] = field(default_factory=list)
    readers: list[nn.Module] = field(default_factory=list)


@torch.no_grad()
def rescale_activations(vae: VideoVAE) -> VideoVAE:
    """A copy of the VAE with activations of at most `LIMIT` on a rendered clip, and equal results.

    The output of a norm is the same for its input times a power of two, up to its epsilon. So the
    features that only norms and linear layers read are scaled down by the convolutions that compute
    them: the residual features of each resolution, and those within a block. Families other than
    "odvae" are not changed.
    """
    rescaled = copy.deepcopy(vae)
    if vae.family != "odvae":
        return rescaled
    peaks = measure_peak_inputs(rescaled)
    for coder in (rescaled.encoder, rescaled.decoder):
        assert isinstance(coder, Coder)
        rescale_blocks(coder, peaks)
        rescale_spans(find_spans(coder), peaks)
    return rescaled


def measure_peak_inputs(vae: VideoVAE) -> dict[nn.Module, float]:
    """The largest absolute input of every module when the VAE reconstructs a rendered clip."""
    peaks: dict[nn.Module, float] = {}

    def record_peak(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        peaks[module] = max(peaks.get(module, 0.0), inputs[0].abs().max().item())

    hooks = [module.register_forward_pre_hook(record_peak) for module in vae.modules()]
    video = (
        render_clip(KeyedRandom(0), 1 + vae.temporal_compression, SIZE, draw_texture)[None] * 2 - 1
    )
    vae(video)
    for hook in hooks:
        hook.remove()
    return peaks


def find_spans(coder: Coder) -> list[Span]:
    """The spans of an encoder or a decoder, in order; its last layer belongs to none."""
    layers = [coder.get_submodule(name) for name in coder.order[:-1]]
    spans = [Span(layers[0])]
    for layer in layers[1:]:
        span = spans[-1]
        if isinstance(layer, ResnetBlock):
            span.readers.append(layer.get_submodule(layer.names[0]))
            if layer.changes_channels:
                spans.append(Span(layer.get_submodule(layer.names[4])))
            spans[-1].adding.append(layer.get_submodule(layer.names[3]))
        elif isinstance(layer, FrameAttention):
            span.readers.append(layer.get_submodule(layer.names[0]))
            span.adding.append(layer.get_submodule(layer.names[-1]))
        else:
            span.readers.append(layer)
            if isinstance(layer, MixedTimeDown2x | MixedTimeUp2x):
                span.mixing.append(layer.conv)
            elif isinstance(conv := getattr(layer, "conv", None), FrameConv2d | CausalConv3d):
                spans.append(Span(conv))
    return spans


def rescale_spans(spans: list[Span], peaks: dict[nn.Module, float]) -> None:
    """Scale the residual features."""
    before = 1.0
    for span in spans:
        factor = find_factor(max(peaks[reader] for reader in span.readers))
        rescale_conv(span.opening, before, factor)
        for conv in span.adding:
            rescale_conv(conv, 1.0, factor)
        for conv in span.mixing:
            rescale_conv(conv, factor, factor)
        before = factor


def rescale_blocks(coder: Coder, peaks: dict[nn.Module, float]) -> None:
    """Scale the features between the first convolution and the second norm of each block."""
    for block in coder.modules():
        if isinstance(block, ResnetBlock):
            _, conv, norm, _, _ = block.names
            factor = find_factor(peaks[block.get_submodule(norm)])
            rescale_conv(block.get_submodule(conv), 1.0, factor)


def find_factor(peak: float) -> float:
    """The largest power of two, at most 1, that brings `peak` to `LIMIT` or below."""
    return 2.0 ** min(0, math.floor(math.log2(LIMIT / peak))) if peak > 0 else 1.0


def rescale_conv(conv: nn.Module, before: float, after: float) -> None:
    """Scale a convolution's output by `after` when its input is scaled by `before`."""
    layer = find_conv(conv)
    assert layer.bias is not None
    layer.weight *= after / before
    layer.bias *= after
