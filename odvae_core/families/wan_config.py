"""Configurations of Wan's VAEs: the published 2.1 and 2.2."""

from __future__ import annotations

from dataclasses import dataclass

from ..config import check_fields
from ..scaling import Factors, check_factors

CHOICES = {"design": ("2.1", "2.2")}


@dataclass(frozen=True)
class WanConfig:
    """The configuration of a Wan VAE, which determines its state dict.

    `design` "2.2" folds 2 x 2 pixels into channels and has a second path around each level.
    `width` and `decoder_width` are those of the finest level. The two coarsest halvings are of
    space and time, the others of space alone. Diffusion models use
    (latent - `latent_shift`) * `latent_scale`.
    """

    design: str = "2.1"
    z_channels: int = 16
    width: int = 96
    decoder_width: int = 96
    multipliers: tuple[int, ...] = (1, 2, 4, 4)
    blocks: int = 2
    latent_scale: Factors = 1.0
    latent_shift: Factors = 0.0

    def __post_init__(self):
        check_fields(self, CHOICES)
        check_factors(
            self.z_channels, latent_scale=self.latent_scale, latent_shift=self.latent_shift
        )
        if len(self.multipliers) < 3:
            raise ValueError(
                f"got {len(self.multipliers)} levels; time is halved twice, so there are at least 3"
            )

    @property
    def widths(self) -> tuple[int, ...]:
        """The channels of the encoder's levels."""
        return tuple(self.width * multiplier for multiplier in self.multipliers)

    @property
    def patch(self) -> int:
        """The side of the squares of pixels that are folded into channels."""
        return 2 if self.design == "2.2" else 1


# fmt: off
WAN_2_1_MEAN = (
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,
    0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
)
WAN_2_1_STD = (
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
    3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160,
)
WAN_2_2_MEAN = (
    -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557,
    -0.1382, 0.0542, 0.2813, 0.0891, 0.1570, -0.0098, 0.0375, -0.1825,
    -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502,
    -0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230,
    -0.0313, -0.1649, 0.0117, 0.0723, -0.2839, -0.2083, -0.0520, 0.3748,
    0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667,
)
WAN_2_2_STD = (
    0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013,
    0.8158, 1.0344, 0.5894, 1.0901, 0.6885, 0.6165, 0.8454, 0.4978,
    0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659,
    0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093,
    0.5709, 0.6065, 0.6415, 0.4944, 0.5726, 1.2042, 0.5458, 1.6887,
    0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744,
)
# fmt: on
"""Mean and deviation of the latents' channels (the VAEs' config.json in Wan-AI's repositories)."""


def invert(std: tuple[float, ...]) -> tuple[float, ...]:
    """The scale that makes deviations 1."""
    return tuple(1 / value for value in std)


PRESETS = {
    "wan-2.1": WanConfig(latent_scale=invert(WAN_2_1_STD), latent_shift=WAN_2_1_MEAN),
    "wan-2.2": WanConfig(
        "2.2", 48, 160, 256, latent_scale=invert(WAN_2_2_STD), latent_shift=WAN_2_2_MEAN
    ),
}
