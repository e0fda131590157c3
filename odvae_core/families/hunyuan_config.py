"""Configurations of HunyuanVideo 1.0's VAE."""

from __future__ import annotations

from dataclasses import dataclass

from ..config import check_fields

CHOICES = {"attention": ("causal", "full")}


@dataclass(frozen=True)
class HunyuanConfig:
    """The configuration of a HunyuanVideo VAE, which determines its state dict.

    `attention` "causal" doesn't see later frames, as its authors run it; "full" does, as ComfyUI
    runs the same weights. The two coarsest halvings are of space and time, the others of space
    alone. Diffusion models use (latent - `latent_shift`) * `latent_scale`.
    """

    z_channels: int = 16
    width: int = 128
    multipliers: tuple[int, ...] = (1, 2, 4, 4)
    blocks: int = 2
    norm_groups: int = 32
    attention: str = "causal"
    latent_scale: float = 0.476986
    latent_shift: float = 0.0

    def __post_init__(self):
        check_fields(self, CHOICES)
        if len(self.multipliers) < 3:
            raise ValueError(
                f"got {len(self.multipliers)} levels; time is halved twice, so there are at least 3"
            )
        for channels in self.widths:
            if channels % self.norm_groups:
                raise ValueError(
                    f"got a level of {channels} channels; "
                    f"norm_groups = {self.norm_groups} must divide it"
                )

    @property
    def widths(self) -> tuple[int, ...]:
        """The channels of the levels."""
        return tuple(self.width * multiplier for multiplier in self.multipliers)


PRESETS = {"hunyuan-1.0": HunyuanConfig()}
