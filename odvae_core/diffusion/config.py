"""Configurations of the diffusion transformers: what determines a state dict and its meaning."""

from __future__ import annotations

from dataclasses import dataclass

from ..config import check_fields
from ..constants import LATENT_SCALE
from ..scaling import Factors, check_factors

WORK_VALUES = 4
"""Values that a call holds for each latent pixel and channel of the width, as an estimate.

A token, of four latent pixels, has two hidden layers of four times the width, and as much again.
"""


@dataclass(frozen=True, kw_only=True)
class DiffusionConfig:
    """What all the networks have: their size, and the latents that they were trained on.

    A network takes (latent - `latent_shift`) * `latent_scale` of a VAE with `in_channels` channels;
    `temporal_compression` and `spatial_compression` are that VAE's. `latent_frames` is the number
    of latent frames in training.
    """

    layers: int
    heads: int
    head_dim: int
    latent_frames: int
    in_channels: int = 4
    patch_size: int = 2
    latent_scale: Factors = LATENT_SCALE
    latent_shift: Factors = 0.0
    temporal_compression: int = 4
    spatial_compression: int = 8

    def __post_init__(self):
        check_fields(self)
        check_factors(
            self.in_channels, latent_scale=self.latent_scale, latent_shift=self.latent_shift
        )
        if self.width % 4:
            raise ValueError(
                f"got {self.heads} heads of {self.head_dim} channels; positions are sines and "
                "cosines of two axes, so their product is a multiple of 4"
            )

    @property
    def width(self) -> int:
        """The channels of a token."""
        return self.heads * self.head_dim


@dataclass(frozen=True, kw_only=True)
class LatteT2VConfig(DiffusionConfig):
    """LatteT2V of Open-Sora-Plan v1.0 and v1.1.

    `sample_side` is the side of the latents in training, in latent pixels. Temporal positions are
    divided by `temporal_scale`. Half of `out_channels` is the learned variance.
    """

    layers: int = 28
    heads: int = 16
    head_dim: int = 72
    latent_frames: int = 17
    out_channels: int = 8
    caption_channels: int = 4096
    sample_side: int = 64
    temporal_scale: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        check_scales((self.temporal_scale,))


@dataclass(frozen=True, kw_only=True)
class OpenSoraT2VConfig(DiffusionConfig):
    """OpenSoraT2V of Open-Sora-Plan v1.2.

    Positions along time, rows and columns are divided by `scales`. With `rope` they rotate queries
    and keys; without it they are added to the tokens, stretched to `sample_size`, the height and
    width of the latents in training.
    """

    layers: int = 32
    heads: int = 24
    head_dim: int = 96
    latent_frames: int = 24
    out_channels: int = 4
    caption_channels: int = 4096
    sample_size: tuple[int, ...] = (60, 80)
    rope: bool = True
    scales: tuple[float, ...] = (1.0, 1.0, 1.0)

    def __post_init__(self):
        super().__post_init__()
        if len(self.sample_size) != 2 or len(self.scales) != 3:
            raise ValueError(
                f"got sample_size = {self.sample_size}, scales = {self.scales}; give a height and "
                "a width, and the scales of time, rows and columns"
            )
        check_scales(self.scales)
        if self.rope and self.head_dim % 6:
            raise ValueError(
                f"got head_dim = {self.head_dim}; RoPE rotates pairs of channels for each of three "
                "axes: give a multiple of 6"
            )


@dataclass(frozen=True, kw_only=True)
class LatteConfig(DiffusionConfig):
    """Latte: `side` is that of the square latents; `classes` is None for an unconditional model.

    With `learn_sigma` half of the output channels are the learned variance.
    """

    latent_frames: int = 21
    side: int = 32
    classes: int | None = None
    learn_sigma: bool = True

    def __post_init__(self):
        super().__post_init__()
        if self.layers % 2 or self.side % self.patch_size:
            raise ValueError(
                f"got {self.layers} layers and a side of {self.side}; layers are pairs of a "
                f"spatial and a temporal one, and patches of {self.patch_size} must divide the side"
            )

    @property
    def out_channels(self) -> int:
        """The channels of the output: the noise and, where it is learned, its variance."""
        return self.in_channels * (2 if self.learn_sigma else 1)


def check_scales(scales: tuple[float, ...]) -> None:
    """Raise `ValueError` where positions would be divided by 0 or less."""
    if min(scales) <= 0:
        raise ValueError(f"got scales of positions {scales}; they are numbers above 0")
