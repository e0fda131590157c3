"""Configurations of CV-VAE: the two published networks and what may differ between them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..config import check_fields
from ..constants import LATENT_SCALE, SD3_LATENT_SCALE, SD3_LATENT_SHIFT

CHOICES = {
    "down": ("", "space", "joint"),
    "up": ("", "space", "joint"),
    "parent": ("sd2", "sd3"),
    "encoder_time": ("causal", "centred"),
    "decoder_time": ("causal", "centred"),
    "second_conv": ("2d", "3d"),
    "encoder_attention": ("frame", "space-time"),
    "decoder_attention": ("frame", "space-time"),
}
"""The words that a field takes; "" where it may be absent."""


@dataclass(frozen=True)
class Level:
    """One resolution, from fine to coarse.

    `down` halves what the encoder has after this level, `up` doubles what the decoder has after it:
    the picture ("space"), or the frames too ("joint"). "" does nothing.
    """

    channels: int
    down: str
    up: str


@dataclass(frozen=True)
class CvvaeConfig:
    """The configuration of a CV-VAE, which determines its state dict.

    `parent` is the 2D VAE whose latent space it shares, and whose names, paddings and norms it has.
    The `..._time` of a coder is "causal" or "centred" (it sees a frame ahead); `second_conv` of a
    block works per frame ("2d") or not. Attention is within each "frame", or also over all frames
    ("space-time"); it also follows the blocks at `attention_resolutions`, counted from `resolution`
    as published.
    """

    levels: tuple[Level, ...]
    parent: str = "sd2"
    blocks: int = 2
    z_channels: int = 4
    encoder_time: str = "causal"
    decoder_time: str = "centred"
    second_conv: str = "2d"
    encoder_attention: str = "frame"
    decoder_attention: str = "space-time"
    attention_resolutions: tuple[int, ...] = ()
    resolution: int = 256
    norm_groups: int = 32
    latent_scale: float = LATENT_SCALE
    latent_shift: float = 0.0

    def __post_init__(self):
        check_fields(self, CHOICES)
        for part in self.levels:
            check_fields(part, CHOICES)
        if self.levels[-1].down or self.levels[0].up:
            raise ValueError("the coarsest level's down and the finest level's up must be ''")
        if self.parent == "sd3" and not self._attends_plainly:
            raise ValueError("parent 'sd3' has 'frame' attention, and only in the middle")
        for level in self.levels:
            if level.channels % self.norm_groups:
                raise ValueError(
                    f"got a level of {level.channels} channels; norm_groups = {self.norm_groups} "
                    "must divide it"
                )
        self._check_halvings()

    def _check_halvings(self) -> None:
        space = sum(bool(level.up) for level in self.levels)
        time = sum(level.up == "joint" for level in self.levels)
        if (space, time) != (self.space_halvings, self.time_halvings):
            raise ValueError(
                f"the encoder halves space {self.space_halvings} times and time "
                f"{self.time_halvings} times, but the decoder doubles them {space} and {time} "
                "times; make them equal"
            )

    @property
    def widths(self) -> tuple[int, ...]:
        """The channels of the levels."""
        return tuple(level.channels for level in self.levels)

    @property
    def _attends_plainly(self) -> bool:
        kinds = {self.encoder_attention, self.decoder_attention}
        return kinds == {"frame"} and not self.attention_resolutions

    @property
    def space_halvings(self) -> int:
        return sum(bool(level.down) for level in self.levels)

    @property
    def time_halvings(self) -> int:
        return sum(level.down == "joint" for level in self.levels)


CVVAE = CvvaeConfig(
    levels=(
        #          down     up
        Level(128, "joint", ""),
        Level(256, "space", "joint"),
        Level(512, "joint", "space"),
        Level(512, "", "joint"),
    )
)
CVVAE_SD3 = replace(
    CVVAE,
    parent="sd3",
    z_channels=16,
    decoder_attention="frame",
    latent_scale=SD3_LATENT_SCALE,
    latent_shift=SD3_LATENT_SHIFT,
)

PRESETS = {"cvvae": CVVAE, "cvvae-sd3": CVVAE_SD3}
"""`cvvae` is published as vae3d and, with other weights, vae3d_v1-1: it has the latent space
of Stable Diffusion 1 and 2 and of SVD. `cvvae-sd3`, published as vae3d_sd3, that of Stable
Diffusion 3.
"""
