"""Colours of previews while a model samples."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from comfy.latent_formats import SD15

from ..odvae_core import preview
from ..odvae_core.checkpoint.location import PACKAGE
from ..odvae_core.diffusion import Network

EMBEDDED = "default.preview.json"
"""In odvae_core/weights: the preview of the embedded VAE."""

VAE_KEY = "vae_sha256"
"""In a model's metadata: the sha256 of the VAE's file whose latents it was trained on."""

Factors = tuple[list[list[float]] | None, list[float] | None]


def read_factors(network: Network) -> Factors:
    """Factors and bias for ComfyUI's latent2rgb, or None where there are none.

    They are those of NAME.preview.json beside the model's file NAME, the embedded VAE's for a model
    on its latents, else Stable Diffusion's, from which the published VAEs were trained.
    """
    path, config = network.provenance.path, network.config
    beside = path.with_name(f"{path.stem}{preview.SUFFIX}")
    is_beside = beside.is_file()
    fitted = preview.read_preview(beside) if is_beside else read_matching_preview(network)
    if fitted is None:
        known = SD15()
        is_known = (config.in_channels, config.latent_scale) == (
            len(known.latent_rgb_factors),
            known.scale_factor,
        )
        return (known.latent_rgb_factors if is_known else None), None
    check_channels(fitted, network, beside)
    return [list(row) for row in fitted.factors], list(fitted.bias)


def read_matching_preview(network: Network) -> preview.Preview | None:
    """The embedded VAE's preview, where the model was trained on its latents."""
    embedded = preview.read_preview(Path(str(resources.files(PACKAGE) / "weights" / EMBEDDED)))
    trained_on = network.provenance.metadata.get(VAE_KEY)
    return embedded if trained_on == embedded.vae_sha256 else None


def check_channels(fitted: preview.Preview, network: Network, beside: Path) -> None:
    """Raise `ValueError` where a preview is of another number of channels."""
    if len(fitted.factors) != network.config.in_channels:
        raise ValueError(
            f"{beside.name} has factors of {len(fitted.factors)} channels; this model's latents "
            f"have {network.config.in_channels}: fit it to the VAE of this model"
        )
