"""The scale and shift between a VAE's latents and those of diffusion models.

Diffusion models use (latent - shift) * scale. Both are one number, or one for each channel.
"""

from __future__ import annotations

from torch import Tensor

from .limits import COUNT, parse_finite

Factors = float | tuple[float, ...]
"""One number for all latent channels, or one for each."""


def scale_latent(latent: Tensor, scale: Factors, shift: Factors) -> Tensor:
    """Latents [B, C, T, H, W] of a VAE -> those of its diffusion models."""
    return (latent - spread_over_channels(shift, latent)) * spread_over_channels(scale, latent)


def unscale_latent(latent: Tensor, scale: Factors, shift: Factors) -> Tensor:
    """Latents [B, C, T, H, W] of diffusion models -> those of their VAE."""
    return latent / spread_over_channels(scale, latent) + spread_over_channels(shift, latent)


def spread_over_channels(factors: Factors, latent: Tensor) -> Tensor | float:
    """Factors in a shape that multiplies latents. Raises `ValueError` on other channels."""
    if not isinstance(factors, tuple):
        return factors
    if len(factors) != latent.shape[1]:
        raise ValueError(
            f"got latents of {latent.shape[1]} channels and factors for {len(factors)}: "
            "use the latents of the same VAE"
        )
    return latent.new_tensor(factors).view(-1, 1, 1, 1)


def check_factors(channels: int, **factors: Factors) -> None:
    """Raise `ValueError` where a configuration has factors for another number of channels."""
    for name, values in factors.items():
        if isinstance(values, tuple) and len(values) != channels:
            raise ValueError(
                f"got {len(values)} numbers of {name} for {channels} latent channels; "
                "give one number, or one for each channel"
            )


def describe_factors(factors: Factors) -> str:
    """Factors in a few words: the number, or the range of the channels' numbers."""
    if not isinstance(factors, tuple):
        return f"{factors:g}"
    return f"{min(factors):g} to {max(factors):g} by channel"


def list_factors(factors: Factors) -> float | list[float]:
    """Factors as JSON has them."""
    return list(factors) if isinstance(factors, tuple) else factors


def parse_factors(text: str) -> Factors:
    """`0.18215`, or `(0.5, 0.25)` -> factors. Raises `ValueError`."""
    if not text.startswith("("):
        return parse_finite(text)
    numbers = text[1:].removesuffix(")").rstrip(",").split(",", COUNT)
    return tuple(parse_finite(number.strip()) for number in numbers)
