"""Which latents a MODEL makes, and whether a VAE decodes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..odvae_core.diffusion import Network
from ..odvae_core.scaling import Factors, describe_factors
from ..odvae_core.vae import VideoVAE
from .preview import VAE_KEY
from .progress import warn_on_node

LOADER = "ODVAELoadDiffusionModel"
CODER_INPUT = "vae"
"""The input of nodes that make latents or pictures with a VAE of their own."""

VAE_OF_RELEASE = {
    "osp-v1.0": "odvae-v1.0",
    "osp-v1.1": "odvae-v1.1",
    "osp-v1.2": "odvae-v1.2",
}
"""Start of a model's preset -> the VAE that was released with it."""


@dataclass(frozen=True)
class LatentSpace:
    """Channels, compression and scale of latents, and the VAE that they are of, where known."""

    channels: int
    compression: tuple[int, int]
    scale: Factors
    shift: Factors
    vae: str | None
    vae_sha256: str | None

    @classmethod
    def of_model(cls, network: Network) -> LatentSpace:
        """The latents that a diffusion model was trained on."""
        config, origin = network.config, network.provenance
        release = (origin.preset or "").rsplit("-", 1)[0]
        return cls(
            config.in_channels,
            (config.temporal_compression, config.spatial_compression),
            config.latent_scale,
            config.latent_shift,
            VAE_OF_RELEASE.get(release),
            origin.metadata.get(VAE_KEY),
        )

    @classmethod
    def of_vae(cls, vae: VideoVAE) -> LatentSpace:
        """The latents of a VAE."""
        origin = vae.provenance
        return cls(
            vae.latent_channels,
            (vae.temporal_compression, vae.spatial_compression),
            vae.latent_scale,
            vae.latent_shift,
            origin.preset if origin else None,
            origin.sha256 if origin else None,
        )

    def describe(self) -> str:
        """The latents in one line."""
        time, space = self.compression
        named = self.vae or (self.vae_sha256 and f"with the sha256 {self.vae_sha256}")
        owner = f"of the VAE {named}" if named else "of the VAE that it was trained on"
        return (
            f"{self.channels} channels, {time}x{space}x{space}, scale "
            f"{describe_factors(self.scale)}, shift {describe_factors(self.shift)}, {owner}"
        )

    def differs_from(self, vae: LatentSpace) -> bool:
        """Whether a VAE's latents are certainly or, for a named VAE, by its name others."""
        if (self.channels, self.compression) != (vae.channels, vae.compression):
            return True
        if self.vae_sha256 is not None:
            return self.vae_sha256 != vae.vae_sha256
        return self.vae is not None and self.vae != vae.vae


RECORDED: dict[tuple[str, str], LatentSpace] = {}
"""The latents of the models loaded so far, by the file and the preset in the loader."""


def record_space(inputs: tuple[str, str], network: Network) -> LatentSpace:
    """Keep what a loaded model's latents are, for nodes that decode them."""
    RECORDED[inputs] = LatentSpace.of_model(network)
    return RECORDED[inputs]


def warn_of_other_space(
    node: str | None, prompt: Mapping[str, Any] | None, network: VideoVAE
) -> None:
    """Warn where a node's latent was sampled by a MODEL whose latents are of another VAE.

    `prompt` is the running graph, as ComfyUI passes it to nodes.
    """
    if node is None or prompt is None:
        return
    vae = LatentSpace.of_vae(network)
    for model in find_spaces(node, prompt):
        if model.differs_from(vae):
            warn_on_node(
                node,
                f"OD-VAE: the MODEL makes latents with {model.describe()}; this VAE's have "
                f"{vae.describe()}. Colours will be wrong unless both share a latent space: load "
                "the VAE that belongs to the MODEL",
            )


def find_spaces(node: str, prompt: Mapping[str, Any]) -> Iterator[LatentSpace]:
    """The latents of all models through whose samplers a node's latent came."""
    inputs = prompt.get(node, {}).get("inputs", {})
    waiting, seen = [inputs.get("latent")], set()
    while waiting:
        link = waiting.pop()
        if not isinstance(link, list) or str(link[0]) in seen or str(link[0]) not in prompt:
            continue
        seen.add(str(link[0]))
        source = prompt[str(link[0])]
        inputs = source["inputs"]
        if source["class_type"] == LOADER:
            found = RECORDED.get((inputs.get("model"), inputs.get("preset")))
            if found is not None:
                yield found
        elif CODER_INPUT not in inputs:
            waiting += inputs.values()
