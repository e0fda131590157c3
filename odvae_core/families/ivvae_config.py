"""Configurations of IV-VAE: the four published networks, and the 2D VAE that one starts from."""

from __future__ import annotations

from dataclasses import dataclass

from ..config import check_fields


@dataclass(frozen=True)
class IvvaeConfig:
    """The configuration of an IV-VAE, which determines its state dict.

    `z_channels` count both halves, of the keyframes and of the motion; `width` is that of one half
    at the finest level. The two coarsest halvings are of space and time, the others of space alone.
    With `branches` 1 it is the keyframes' half alone: a 2D VAE that a video VAE can start from.
    Diffusion models use (latent - `latent_shift`) * `latent_scale`.

    The switches are those of the paper's ablation; all published networks have all of them.
    `keyframes`: a branch for keyframes and one for motion, else one 3D branch of as many channels.
    `grouped`: 3D convolutions are group causal, else causal. `perception`: atrous convolutions at
    the encoder's end and attention at the coarsest level, else attention in both middles only.
    `half_start`: the 2D VAE that it starts from has half its latent channels, else all.
    """

    z_channels: int
    width: int = 64
    latent_scale: float = 1.0
    latent_shift: float = 0.0
    multipliers: tuple[int, ...] = (1, 2, 4, 4)
    blocks: int = 2
    branches: int = 2
    keyframes: bool = True
    grouped: bool = True
    perception: bool = True
    half_start: bool = True

    def __post_init__(self):
        check_fields(self)
        if self.branches not in (1, 2):
            raise ValueError(f"got branches = {self.branches}; it is 2, or 1 for the 2D VAE")
        if self.z_channels % self.branches:
            raise ValueError(
                f"got {self.z_channels} latent channels; both halves have as many: "
                f"try {self.z_channels + 1}"
            )
        if self.branches == 1 and not (self.keyframes and self.grouped and self.half_start):
            raise ValueError(
                "got branches = 1 and a switch of the video VAE: set keyframes, grouped and "
                "half_start to true"
            )
        if self.keyframes and not self.half_start:
            raise ValueError(
                "got keyframes without half_start: the 2D VAE of a keyframes' branch has half the "
                "latent channels; set keyframes to false too"
            )
        if len(self.multipliers) < 3:
            raise ValueError(
                f"got {len(self.multipliers)} levels; time is halved twice, so there are at least 3"
            )

    @property
    def parts(self) -> int:
        """The branches that features, latents and frames are split into, by channels."""
        return self.branches if self.keyframes else 1

    @property
    def widths(self) -> tuple[int, ...]:
        """The channels of the levels, of one half each."""
        return tuple(self.width * multiplier for multiplier in self.multipliers)


PRESETS = {
    #                        z  width   scale    shift
    "ivvae-z4": IvvaeConfig(4, 64, 1.3196, 0.1250),
    "ivvae-z8": IvvaeConfig(8, 64, 1.0940, -0.0322),
    "ivvae-z16": IvvaeConfig(16, 64, 0.9697, -0.1553),
    "ivvae-z16-wide": IvvaeConfig(16, 96, 0.7619, -0.0483),
    "ivvae-2d": IvvaeConfig(2, 64, branches=1),
}
"""`ivvae-2d` is the 2D VAE that `ivvae-z4` can start from; those of the others have 4 and 8."""
