"""Configurations of WF-VAE: the published networks."""

from __future__ import annotations

from dataclasses import dataclass

from ..config import check_fields
from ..constants import LATENT_SCALE

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
    latent_scale: float = LATENT_SCALE
    latent_shift: float = 0.0

    def __post_init__(self):
        check_fields(self, CHOICES)

    @property
    def widths(self) -> tuple[int, ...]:
        """The channels of the levels."""
        return self.width, 2 * self.width, 4 * self.width


PRESETS = {
    "wfvae-s4": WfvaeConfig(4),
    "wfvae-s8": WfvaeConfig(8, encoder_flow=64, flow_blocks=2),
    "wfvae-l16": WfvaeConfig(16, 192),
    "wfvae-888": WfvaeConfig(32, 160, finest="joint"),
}
"""Open-Sora-Plan 1.3's configuration with 4 channels and its release with 8, WF-VAE-L-16Chn, and
Open-Sora-Plan 1.5's release.
"""
