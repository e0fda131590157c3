"""Configurations of OD-VAE: the published models, the paper's variants, and their 2D parent."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..config import check_fields
from ..constants import LATENT_SCALE

CHOICES = {
    "encoder": ("2d", "3d", "half"),
    "decoder": ("2d", "3d", "half"),
    "down": ("", "frame", "space", "joint"),
    "down_time": ("", "average", "mixed"),
    "up": ("", "frame", "space", "joint", "joint-nearest"),
    "up_time": ("", "linear", "mixed"),
    "quant": ("", "2d", "3d"),
    "norm": ("clip", "frame"),
    "encoder_in": ("2d", "3d"),
    "encoder_middle": ("2d", "3d", "half"),
    "encoder_attention": ("2d", "frame", "scrambled", "temporal"),
    "encoder_out": ("2d", "3d"),
    "decoder_in": ("2d", "3d"),
    "decoder_middle": ("2d", "3d", "half"),
    "decoder_attention": ("2d", "frame", "scrambled", "temporal"),
    "decoder_out": ("2d", "3d"),
}
"""The words that a field takes; "" where it may be absent."""


@dataclass(frozen=True)
class Level:
    """One resolution, from fine to coarse.

    `multiplier` of the width; `encoder` and `decoder` blocks are "2d", "3d" or "half" (second
    convolution per frame). `down` halves what the encoder has after this level: "frame", "space"
    (2D and one-frame 3D layers) or "joint" (time too); `down_time` then halves time: "average" or
    "mixed". `up` and `up_time` double what the decoder has after this level: "frame", "space",
    "joint" or "joint-nearest" (nearest in space, linear in time); "linear" or "mixed". "" does
    nothing.
    """

    multiplier: int
    encoder: str
    down: str
    down_time: str
    decoder: str
    up: str
    up_time: str


@dataclass(frozen=True)
class OdvaeConfig:
    """The configuration of an OD-VAE, which determines its state dict.

    `norm` of 3D features is over the "clip" or each "frame". `quant` is the 1x1 layer on both sides
    of the latent: "3d", "2d" or "" (none: the latent then has `z_channels`, else `embed_dim`).
    Attention is per "frame", "scrambled" (as published with v1.0), "2d" or "temporal"; it also
    follows the blocks at `attention_resolutions`, counted from `resolution` as published, not from
    the real picture. Diffusion models use (latent - `latent_shift`) * `latent_scale`.
    """

    levels: tuple[Level, ...]
    width: int = 128
    blocks: int = 2
    z_channels: int = 4
    embed_dim: int = 4
    quant: str = "3d"
    norm: str = "clip"
    norm_groups: int = 32
    attention_resolutions: tuple[int, ...] = ()
    resolution: int = 256
    encoder_in: str = "2d"
    encoder_middle: str = "3d"
    encoder_attention: str = "frame"
    encoder_out: str = "3d"
    decoder_in: str = "3d"
    decoder_middle: str = "3d"
    decoder_attention: str = "frame"
    decoder_out: str = "3d"
    latent_scale: float = LATENT_SCALE
    latent_shift: float = 0.0

    def __post_init__(self):
        check_fields(self, CHOICES)
        for part in self.levels:
            check_fields(part, CHOICES)
        if self.levels[-1].down or self.levels[-1].down_time:
            raise ValueError("the last level halves nothing: its down and down_time must be ''")
        for level in self.levels:
            if self.width * level.multiplier % self.norm_groups:
                raise ValueError(
                    f"got a level of {self.width} x {level.multiplier} channels; "
                    f"norm_groups = {self.norm_groups} must divide it"
                )
        for name, halved, doubled in (
            ("space", self.space_halvings, sum(bool(level.up) for level in self.levels)),
            ("time", self.time_halvings, sum(doubles_time(level) for level in self.levels)),
        ):
            if halved != doubled:
                raise ValueError(
                    f"the encoder halves {name} {halved} times but the decoder doubles it "
                    f"{doubled} times; make them equal"
                )

    @property
    def widths(self) -> tuple[int, ...]:
        """The channels of the levels."""
        return tuple(self.width * level.multiplier for level in self.levels)

    @property
    def space_halvings(self) -> int:
        return sum(bool(level.down) for level in self.levels)

    @property
    def time_halvings(self) -> int:
        return sum((level.down == "joint") + bool(level.down_time) for level in self.levels)

    @property
    def latent_channels(self) -> int:
        return self.embed_dim if self.quant else self.z_channels


def doubles_time(level: Level) -> int:
    return level.up.startswith("joint") + bool(level.up_time)


V1_2 = OdvaeConfig(
    levels=(
        #     x  encoder and down     decoder and up
        Level(1, "2d", "frame", "", "3d", "", ""),
        Level(2, "2d", "joint", "", "3d", "space", ""),
        Level(4, "3d", "joint", "", "3d", "joint", ""),
        Level(4, "3d", "", "", "3d", "joint", ""),
    )
)
V1_1 = replace(
    V1_2,
    levels=(
        Level(1, "2d", "frame", "", "3d", "", ""),
        Level(2, "2d", "frame", "mixed", "3d", "space", ""),
        Level(4, "3d", "frame", "mixed", "3d", "space", "mixed"),
        Level(4, "3d", "", "", "3d", "space", "mixed"),
    ),
)
V1_0 = replace(
    V1_2,
    levels=(
        Level(1, "3d", "space", "average", "3d", "", ""),
        Level(2, "3d", "space", "average", "3d", "space", ""),
        Level(4, "3d", "space", "", "3d", "space", "linear"),
        Level(4, "3d", "", "", "3d", "space", "linear"),
    ),
    encoder_in="3d",
    encoder_attention="scrambled",
    decoder_attention="scrambled",
)
VARIANT_1 = replace(
    V1_2,
    levels=(
        Level(1, "3d", "space", "", "3d", "", ""),
        Level(2, "3d", "joint", "", "3d", "space", ""),
        Level(4, "3d", "joint", "", "3d", "joint", ""),
        Level(4, "3d", "", "", "3d", "joint", ""),
    ),
    encoder_in="3d",
)
VARIANT_2 = replace(
    VARIANT_1,
    levels=tuple(replace(level, encoder="half", decoder="half") for level in VARIANT_1.levels),
    encoder_middle="half",
    decoder_middle="half",
)
VARIANT_3 = replace(
    V1_2,
    levels=(
        Level(1, "2d", "frame", "", "2d", "", ""),
        Level(2, "2d", "joint", "", "2d", "space", ""),
        Level(4, "3d", "joint", "", "3d", "joint", ""),
        Level(4, "3d", "", "", "3d", "joint", ""),
    ),
    decoder_out="2d",
)
STREAM = replace(
    V1_2,
    levels=(
        Level(1, "2d", "frame", "", "3d", "", ""),
        Level(2, "2d", "joint", "", "3d", "space", ""),
        Level(4, "3d", "joint", "", "3d", "joint-nearest", ""),
        Level(4, "3d", "", "", "3d", "joint-nearest", ""),
    ),
    norm="frame",
)
SD_VAE = OdvaeConfig(
    levels=(
        Level(1, "2d", "frame", "", "2d", "", ""),
        Level(2, "2d", "frame", "", "2d", "frame", ""),
        Level(4, "2d", "frame", "", "2d", "frame", ""),
        Level(4, "2d", "", "", "2d", "frame", ""),
    ),
    quant="2d",
    norm="frame",
    encoder_middle="2d",
    encoder_attention="2d",
    encoder_out="2d",
    decoder_in="2d",
    decoder_middle="2d",
    decoder_attention="2d",
    decoder_out="2d",
)
TINY = replace(
    STREAM,
    levels=tuple(
        replace(level, multiplier=multiplier)
        for level, multiplier in zip(STREAM.levels, (1, 1, 4, 6), strict=True)
    ),
    width=16,
    blocks=1,
    norm_groups=4,
    latent_scale=1.0,
)
SMALL_LEVELS = (
    Level(1, "2d", "frame", "", "2d", "", ""),
    Level(2, "2d", "joint", "", "3d", "space", ""),
    Level(4, "half", "joint", "", "half", "joint-nearest", ""),
    Level(7, "half", "", "", "half", "joint-nearest", ""),
)
HALF = replace(TINY, encoder_middle="half", decoder_middle="half")
SMALL = replace(HALF, levels=SMALL_LEVELS, z_channels=16, embed_dim=16)

PRESETS = {
    "odvae-v1.0": V1_0,
    "odvae-v1.1": V1_1,
    "odvae-v1.2": V1_2,
    "odvae-variant-1": VARIANT_1,
    "odvae-variant-2": VARIANT_2,
    "odvae-variant-3": VARIANT_3,
    "odvae-stream": STREAM,
    "odvae-tiny": TINY,
    "odvae-small": SMALL,
    "sd-vae": SD_VAE,
}
"""Variant 4 of the paper is v1.2.

`odvae-stream` is variant 4 with per-frame norms and the 2D VAE's nearest upsampling, for new
trainings: it streams exactly and inflates exactly. `odvae-tiny` is its small version;
`odvae-small`, the embedded default, has 16 latent channels at about its cost, normalised when it is
exported.
"""
