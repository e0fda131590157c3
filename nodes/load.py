"""Load OD-VAE: a checkpoint as ComfyUI's own VAE."""

from __future__ import annotations

from pathlib import Path

import torch
from comfy.model_patcher import ModelPatcher
from comfy_api.latest import io

from .. import odvae_core
from ..odvae_core.scaling import describe_factors
from ..odvae_core.vae import VideoVAE
from .fingerprint import fingerprint_file
from .models import DEFAULT, find_vae, list_vaes
from .schema import advanced, check_choice, make_schema
from .vae import OdvaeVAE

DTYPES = {"auto": None, "bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
LATENTS_4D = ("one clip", "separate images")


class LoadOdvae(io.ComfyNode):
    """A file of models/vae, or the embedded model -> VAE."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        files = [DEFAULT, *list_vaes()]
        return make_schema(
            "ODVAELoad",
            inputs=[
                io.Combo.Input("checkpoint", options=files, default=DEFAULT),
                io.Combo.Input("dtype", options=list(DTYPES), default="auto"),
                advanced(
                    io.Combo.Input("latents_4d", options=list(LATENTS_4D), default=LATENTS_4D[0])
                ),
            ],
            outputs=[io.Vae.Output(), io.String.Output()],
            search_aliases=["load video vae", "open-sora-plan vae", "cv-vae", "iv-vae"],
        )

    @classmethod
    def fingerprint_inputs(cls, checkpoint: str, **_: object) -> str:
        """Load the file again after it was replaced."""
        if checkpoint == DEFAULT:
            return DEFAULT
        return f"{checkpoint} {fingerprint_file(find_vae(checkpoint))}"

    @classmethod
    def execute(cls, checkpoint: str, dtype: str, latents_4d: str) -> io.NodeOutput:
        check_choice("dtype", dtype, DTYPES)
        check_choice("latents_4d", latents_4d, LATENTS_4D)
        path = DEFAULT if checkpoint == DEFAULT else find_vae(checkpoint)
        vae = load_vae(path, DTYPES[dtype], images=latents_4d == LATENTS_4D[1])
        return io.NodeOutput(vae, describe_vae(vae.first_stage_model, vae.vae_dtype))


def load_vae(path: str | Path, dtype: torch.dtype | None, images: bool) -> OdvaeVAE:
    """The VAE of a file.

    Its patcher stores the arguments to load it again, for ComfyUI's node that moves a VAE to
    another device.
    """
    vae = OdvaeVAE(odvae_core.load(path), dtype, images)
    vae.patcher.cached_patcher_init = (load_patcher, (path, dtype, images))
    return vae


def load_patcher(path: str | Path, dtype: torch.dtype | None, images: bool) -> ModelPatcher:
    """The patcher of a VAE that is loaded again."""
    return load_vae(path, dtype, images).patcher


def describe_vae(network: VideoVAE, dtype: torch.dtype) -> str:
    """Provenance, latent format and dtype, as lines of text."""
    time, space = network.temporal_compression, network.spatial_compression
    lines = [
        network.provenance.describe(),
        f"latent: {network.latent_channels} channels, {time}x{space}x{space}, "
        f"scale {describe_factors(network.latent_scale)}, "
        f"shift {describe_factors(network.latent_shift)}",
        f"runs in {str(dtype).removeprefix('torch.')}",
    ]
    return "\n".join(lines)
