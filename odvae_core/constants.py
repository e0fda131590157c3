"""Constants with their sources, and words that are needed without torch."""

STRATEGIES = ("auto", "whole", "paper", "published", "exact", "stream")
"""How a clip may be cut (docs/schedules.md).

auto: the best plan that fits into memory; whole: not cut in time; paper: windows of one length both
ways (OD-VAE, section 3.3); published: the sizes of the authors' code for the preset; exact: the
cheapest cut that equals the whole clip; stream: chunk by chunk.
"""

LATENT_SCALE = 0.18215
"""The scale of Stable Diffusion's latents (Rombach et al. 2022; Open-Sora-Plan's
CausalVAEModelWrapper).
"""

SD3_LATENT_SCALE, SD3_LATENT_SHIFT = 1.5305, 0.0609
"""The scale of SD3's latents, applied after the shift is subtracted (the
VAE's config.json in stabilityai/stable-diffusion-3-medium-diffusers).
"""

SDXL_LATENT_SCALE = 0.13025
"""The same of SDXL's latents (the VAE's config.json in stabilityai/sdxl-vae)."""

FLUX_LATENT_SCALE, FLUX_LATENT_SHIFT = 0.3611, 0.1159
"""The same of Flux' latents (the VAE's config.json in black-forest-labs/FLUX.1-dev)."""

LOGVAR_RANGE = (-30.0, 20.0)
"""Clamp of the posterior's log variance (Open-Sora-Plan v1.0 to v1.2, diffusers)."""

NORM_EPS = 1e-6
"""GroupNorm's epsilon (SD VAE, OD-VAE)."""

PUBLISHED_WINDOWS: dict[str, tuple[int, int | None]] = {
    "odvae-v1.1": (65, None),
    "odvae-v1.2": (33, 61),
    "cvvae": (17, None),
    "cvvae-sd3": (17, None),
}
"""Temporal windows of the authors' code: frames to encode, frames to decode where that differs.

v1.2.0 decodes 16 latents (61 frames) at a time although it encodes 33 frames; v1.0.0 has no
temporal tiling.
"""

PUBLISHED_TILES: dict[str, tuple[int, int, bool]] = {
    "odvae-v1.0": (256, 64, False),
    "odvae-v1.1": (256, 64, False),
    "odvae-v1.2": (256, 32, False),
    "cvvae": (576, 128, True),
    "cvvae-sd3": (576, 128, True),
}
"""Spatial tiles of the authors' code: size, overlap, whether they stop at the border."""

INDEX_LIMIT = 2**31
"""Elements that the 32-bit indices of cuDNN's and PyTorch's convolution kernels can address."""
