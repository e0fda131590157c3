"""Configurations of HunyuanVideo 1.5's VAE."""

from __future__ import annotations

from dataclasses import dataclass

from ..config import check_fields
from .hunyuan_config import CHOICES


@dataclass(frozen=True)
class Hunyuan15Config:
    """The configuration of a HunyuanVideo 1.5 VAE, which determines its state dict.

    `attention` "causal" doesn't see later frames, as its authors run it; "full" does, as ComfyUI
    runs the same weights. The two coarsest halvings are of space and time, the others of space
    alone. Diffusion models use (latent - `latent_shift`) * `latent_scale`.
    """

    z_channels: int = 32
    width: int = 128
    multipliers: tuple[int, ...] = (1, 2, 4, 8, 8)
    blocks: int = 2
    attention: str = "causal"
    latent_scale: float = 1.03682
    latent_shift: float = 0.0

    def __post_init__(self):
        check_fields(self, CHOICES)
        if len(self.multipliers) < 3:
            raise ValueError(
                f"got {len(self.multipliers)} levels; time is halved twice, so there are at least 3"
            )
        latent = 2 * self.z_channels
        if any(width % 8 for width in self.widths) or self.widths[-1] % latent:
            raise ValueError(
                f"got levels of {', '.join(map(str, self.widths))} channels; 8 must divide all, "
                f"and 2 x {self.z_channels} latent channels the last"
            )

    @property
    def widths(self) -> tuple[int, ...]:
        """The channels of the levels."""
        return tuple(self.width * multiplier for multiplier in self.multipliers)


PRESETS = {"hunyuan-1.5": Hunyuan15Config()}
