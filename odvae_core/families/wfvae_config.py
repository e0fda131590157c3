"""Configurations of WF-VAE: the published networks."""

from __future__ import annotations

from dataclasses import dataclass

from ..config import check_fields
from ..constants import LATENT_SCALE
from ..scaling import Factors, check_factors

CHOICES = {"finest": ("frame", "joint"), "attention": ("", "frame")}
"""The words that a field takes."""


@dataclass(frozen=True)
class WfvaeConfig:
    """The configuration of a WF-VAE, which determines its state dict.

    `width` is that of the finest level. The wavelet bands of a level become `encoder_flow`
    channels beside the encoder's features, and come from `decoder_flow` channels of the decoder's
    through `flow_blocks` residual blocks. `finest` says what the finest level halves behind the
    first wavelet transform: "frame" (height and width) or "joint" (time too: 8x8x8 in all).
    `attention` in the middle is per "frame", or "" (none). Diffusion models use
    (latent - `latent_shift`) * `latent_scale`.
    """

    z_channels: int = 8
    width: int = 128
    encoder_flow: int = 128
    decoder_flow: int = 128
    flow_blocks: int = 1
    blocks: int = 2
    decoder_blocks: int = 2
    finest: str = "frame"
    attention: str = "frame"
    latent_scale: Factors = LATENT_SCALE
    latent_shift: Factors = 0.0

    def __post_init__(self):
        check_fields(self, CHOICES)
        check_factors(
            self.z_channels, latent_scale=self.latent_scale, latent_shift=self.latent_shift
        )

    @property
    def widths(self) -> tuple[int, ...]:
        """The channels of the levels."""
        return self.width, 2 * self.width, 4 * self.width


SCALE_888 = (
    0.7031,
    0.7109,
    1.5391,
    1.2969,
    0.7109,
    1.4141,
    1.3828,
    2.1719,
    1.7266,
    1.8281,
    1.9141,
    1.2031,
    0.6875,
    0.9609,
    1.6484,
    1.1875,
    1.5312,
    1.1328,
    0.8828,
    0.6836,
    0.8828,
    0.9219,
    1.6953,
    1.4453,
    1.5312,
    0.6836,
    0.7656,
    0.8242,
    1.2344,
    1.0312,
    1.7266,
    0.9492,
)
SHIFT_888 = (
    -0.2129,
    0.1226,
    1.6328,
    0.6211,
    -0.875,
    0.6172,
    -0.5703,
    0.1348,
    -0.2178,
    -0.9375,
    0.3184,
    0.3281,
    -0.0544,
    -0.1826,
    -0.2812,
    0.4355,
    0.1621,
    -0.2578,
    0.7148,
    -0.7422,
    -0.2295,
    -0.2324,
    -1.4922,
    0.6328,
    1.125,
    -0.2578,
    -2.1094,
    1.0391,
    1.1797,
    -1.2422,
    -0.2988,
    -0.957,
)
"""Of Open-Sora-Plan 1.5's latents, by channel (its model_opensoraplan1_5.json)."""

PRESETS = {
    "wfvae-s4": WfvaeConfig(4),
    "wfvae-s8": WfvaeConfig(8, encoder_flow=64, flow_blocks=2),
    "wfvae-l16": WfvaeConfig(16, 192),
    "wfvae-888": WfvaeConfig(
        32, 160, finest="joint", latent_scale=SCALE_888, latent_shift=SHIFT_888
    ),
}
"""Open-Sora-Plan 1.3's configuration with 4 channels and its release with 8, WF-VAE-L-16Chn, and
Open-Sora-Plan 1.5's release.
"""
