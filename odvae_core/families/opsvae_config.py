"""The configuration of OPS-VAE, the VAE of Open-Sora 1.2."""

from __future__ import annotations

from dataclasses import dataclass

from ..config import check_fields
from ..scaling import Factors, check_factors

SCALE = (3.85, 2.32, 2.33, 3.06)
"""What its latents are divided by, after the shift (its config.json and its file)."""


@dataclass(frozen=True)
class OpsvaeConfig:
    """The configuration of an OPS-VAE, which determines its state dict.

    `image_widths` and `image_blocks` are those of the 2D VAE that runs first, on each frame;
    `width`, `multipliers` and `blocks` of the network over time behind it, which halves time after
    each level that `halves_time` names. Clips are cut into independent pieces of `piece_frames`.
    Diffusion models use (latent - `latent_shift`) * `latent_scale`.
    """

    z_channels: int = 4
    image_widths: tuple[int, ...] = (128, 256, 512, 512)
    image_blocks: int = 2
    width: int = 128
    multipliers: tuple[int, ...] = (1, 2, 2, 4)
    blocks: int = 4
    halves_time: tuple[bool, ...] = (False, True, True)
    norm_groups: int = 32
    piece_frames: int = 17
    latent_scale: Factors = tuple(1 / scale for scale in SCALE)
    latent_shift: Factors = (-0.10, 0.34, 0.27, 0.98)

    def __post_init__(self):
        check_fields(self)
        check_factors(
            self.z_channels, latent_scale=self.latent_scale, latent_shift=self.latent_shift
        )
        if not self.multipliers or len(self.halves_time) != len(self.multipliers) - 1:
            raise ValueError(
                f"got {len(self.halves_time)} words of halves_time for {len(self.multipliers)} "
                "levels; each level but the last has one"
            )
        for width in (*self.image_widths, *self.widths):
            if width % self.norm_groups:
                raise ValueError(
                    f"got a level of {width} channels; norm_groups = {self.norm_groups} must "
                    "divide it"
                )
        if self.piece_frames % 2 ** sum(self.halves_time) != 1:
            raise ValueError(
                f"got pieces of {self.piece_frames} frames; they have 1 + "
                f"{2 ** sum(self.halves_time)}k: try 17"
            )

    @property
    def widths(self) -> tuple[int, ...]:
        """The channels of the levels over time."""
        return tuple(self.width * multiplier for multiplier in self.multipliers)


PRESETS = {"opsvae-v1.2": OpsvaeConfig()}
