"""Infer an OD-VAE's configuration from the names and shapes of its weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from ..families.odvae_config import Level, OdvaeConfig
from .hunyuan import is_hunyuan
from .hunyuan15 import is_hunyuan15
from .sections import size_of

NOMINAL_RESOLUTION = OdvaeConfig.resolution
TIME_HALVINGS = 2
"""Of every published OD-VAE: it compresses time four times."""


def is_odvae(tensors: Mapping[str, Tensor]) -> bool:
    """Tell whether these are an OD-VAE's names: LDM's, with a causal convolution's `.conv`.

    HunyuanVideo's are such names too, but for those of its attention.
    """
    if is_hunyuan(tensors) or is_hunyuan15(tensors):
        return False
    block = r"((down|up)\.\d+\.block\.\d+|mid\.block_\d+)"
    pattern = re.compile(rf"(en|de)coder\.{block}\.conv[12]\.conv\.weight")
    return any(pattern.fullmatch(key) and tensor.ndim == 5 for key, tensor in tensors.items())


def infer_odvae(tensors: Mapping[str, Tensor]) -> tuple[OdvaeConfig, tuple[str, ...]]:
    """The configuration of an OD-VAE's weights, and what had to be assumed, as sentences.

    Raises `ValueError` where too little is there.
    """
    weights = Weights(dict(tensors))
    width = weights.channels("encoder.conv_in", "encoder.down.0.block.0.norm1")
    levels, assumptions = place_time_layers(weights.read_levels(width))
    as_v1_0 = bool(assumptions) and not any(has_time_weights(level) for level in levels)
    z_channels = weights.inputs("decoder.conv_in")
    quant = weights.quant()
    config = OdvaeConfig(
        levels,
        width=width,
        blocks=weights.count("encoder.down.0.block"),
        z_channels=z_channels,
        embed_dim=weights.inputs("post_quant_conv") if quant else z_channels,
        quant=quant,
        attention_resolutions=weights.attention_resolutions(levels),
        encoder_in=weights.conv("encoder.conv_in"),
        encoder_middle=weights.block("encoder.mid.block_1"),
        encoder_attention=weights.attention("encoder", as_v1_0),
        encoder_out=weights.conv("encoder.conv_out"),
        decoder_in=weights.conv("decoder.conv_in"),
        decoder_middle=weights.block("decoder.mid.block_1"),
        decoder_attention=weights.attention("decoder", as_v1_0),
        decoder_out=weights.conv("decoder.conv_out"),
    )
    return config, (*describe_attention(config), *assumptions, *describe_rest(config))


@dataclass(frozen=True)
class Weights:
    """Layer properties from names and shapes; the key check reports missing weights."""

    tensors: dict[str, Tensor]

    def find(self, layer: str) -> Tensor | None:
        """The weight of a convolution, plain or causal, or of a norm."""
        names = (f"{layer}.conv.weight", f"{layer}.weight")
        return next((self.tensors[name] for name in names if name in self.tensors), None)

    def channels(self, *layers: str) -> int:
        """The output channels of the first of these layers that exists."""
        for layer in layers:
            weight = self.find(layer)
            if weight is not None:
                return size_of(layer, weight, 0)
        raise ValueError(f"its architecture can't be read: {' and '.join(layers)} are missing")

    def inputs(self, layer: str) -> int:
        """The channels that a convolution takes."""
        weight = self.find(layer)
        if weight is None:
            raise ValueError(f"its architecture can't be read: {layer} is missing")
        return size_of(layer, weight, 1)

    def count(self, layers: str) -> int:
        """How many layers a list has."""
        start = f"{layers}."
        numbers = {key[len(start) :].split(".")[0] for key in self.tensors if key.startswith(start)}
        return 1 + max((int(number) for number in numbers if number.isdigit()), default=-1)

    def has(self, layer: str) -> bool:
        return any(key.startswith(f"{layer}.") for key in self.tensors)

    def conv(self, layer: str) -> str:
        """The kind of a convolution: causal ones have a `.conv` of their own."""
        return "3d" if self.has(f"{layer}.conv") else "2d"

    def block(self, layer: str) -> str:
        """The kind of a residual block."""
        kinds = self.conv(f"{layer}.conv1"), self.conv(f"{layer}.conv2")
        return "half" if kinds == ("3d", "2d") else kinds[0]

    def resampling(self, layer: str) -> str:
        """The kind of a layer that halves or doubles space."""
        if not self.has(layer):
            return ""
        if not self.has(f"{layer}.conv.conv"):
            return "frame"
        weight = self.find(f"{layer}.conv")
        return "space" if weight is not None and size_of(layer, weight, 2) == 1 else "joint"

    def quant(self) -> str:
        if not self.has("post_quant_conv"):
            return ""
        return self.conv("post_quant_conv")

    def attention(self, coder: str, as_v1_0: bool) -> str:
        """The kind of a coder's attention; per-frame and scrambled ones have the same names."""
        weight = self.tensors.get(f"{coder}.mid.attn_1.q.weight")
        if weight is not None:
            return "2d" if weight.ndim == 4 else "temporal"
        return "scrambled" if as_v1_0 else "frame"

    def read_levels(self, width: int) -> list[Level]:
        """Every level, as far as the weights determine it."""
        levels = []
        for i in range(self.count("encoder.down")):
            down, up = f"encoder.down.{i}", f"decoder.up.{i}"
            size = self.channels(f"{down}.block.0.conv1", f"{down}.block.0.norm2")
            levels.append(
                Level(
                    multiplier=size // width,
                    encoder=self.block(f"{down}.block.0"),
                    down=self.resampling(f"{down}.downsample"),
                    down_time="mixed" if self.has(f"{down}.time_downsample") else "",
                    decoder=self.block(f"{up}.block.0"),
                    up=self.resampling(f"{up}.upsample"),
                    up_time="mixed" if self.has(f"{up}.time_upsample") else "",
                )
            )
        return levels

    def attention_resolutions(self, levels: tuple[Level, ...]) -> tuple[int, ...]:
        """The nominal resolutions of the levels with attention."""
        found, resolution = set(), NOMINAL_RESOLUTION
        for i, level in enumerate(levels):
            if self.has(f"encoder.down.{i}.attn"):
                found.add(resolution)
            resolution //= 2 if level.down else 1
        resolution = NOMINAL_RESOLUTION // 2 ** (len(levels) - 1)
        for i, level in reversed(list(enumerate(levels))):
            if self.has(f"decoder.up.{i}.attn"):
                found.add(resolution)
            resolution *= 2 if level.up else 1
        return tuple(sorted(found))


def has_time_weights(level: Level) -> bool:
    """Tell whether a level halves or doubles time by a layer with weights."""
    return "joint" in (level.down, level.up) or "mixed" in (level.down_time, level.up_time)


def place_time_layers(levels: list[Level]) -> tuple[tuple[Level, ...], tuple[str, ...]]:
    """Add the poolings and interpolations in time, which have no weights, and say where.

    There are as many as both coders need to agree, or to compress time four times without layers
    that have weights. They are placed as in the released v1.0: the encoder's follow its first
    halvings of space, the decoder's its first doublings.
    """
    halved = sum((level.down == "joint") + bool(level.down_time) for level in levels)
    doubled = sum((level.up == "joint") + bool(level.up_time) for level in levels)
    goal = max(halved, doubled) or TIME_HALVINGS
    downs = [i for i, level in enumerate(levels) if level.down in ("frame", "space")]
    downs = [i for i in downs if not levels[i].down_time][: goal - halved]
    ups = [i for i, level in enumerate(levels) if level.up in ("frame", "space")]
    ups = [i for i in ups if not levels[i].up_time][::-1][: goal - doubled]
    for i in downs:
        levels[i] = replace(levels[i], down_time="average")
    for i in ups:
        levels[i] = replace(levels[i], up_time="linear")
    sentences = []
    if downs:
        where = " and ".join(map(str, downs))
        sentences.append(f"time is pooled after encoder levels {where}, as v1.0 was released")
    if ups:
        where = " and ".join(map(str, sorted(ups)))
        sentences.append(f"time is interpolated after decoder levels {where}, as v1.0 was released")
    return tuple(levels), tuple(sentences)


def describe_attention(config: OdvaeConfig) -> list[str]:
    """The assumption about attention, as a sentence."""
    kinds = {config.encoder_attention, config.decoder_attention}
    if "scrambled" in kinds:
        return ["attention mixes channels with time, as published with v1.0 (AttnBlock3D)"]
    if "frame" in kinds:
        return ["attention works frame by frame, as published from v1.1 on (AttnBlock3DFix)"]
    return []


def describe_rest(config: OdvaeConfig) -> list[str]:
    """The assumptions about upsampling and norms, as sentences."""
    sentences = []
    if any(level.up == "joint" for level in config.levels):
        sentences.append("upsampling in time and space is linear, as published with v1.2")
    sentences.append(f"norms span the clip, in {config.norm_groups} groups, as published")
    return sentences
