"""Small VAEs of ComfyUI's families, whose outputs by ComfyUI's own classes are in tests/data.

Weights and inputs are not stored: they follow from names, shapes and seeds. tests/lineage_reference
makes the vectors.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

import odvae_core as odvae
from odvae_core.families.hunyuan15_config import Hunyuan15Config
from odvae_core.families.hunyuan_config import HunyuanConfig
from odvae_core.families.wan_config import WanConfig
from odvae_core.vae import VideoVAE
from tests.golden import weight

FOLDER = Path(__file__).parent / "data" / "lineage"

CONFIGS: dict[str, Any] = {
    "wan-2.1": WanConfig(z_channels=4, width=8, decoder_width=8),
    "wan-2.2": WanConfig("2.2", 4, 8, 12),
    "hunyuan-1.0": HunyuanConfig(4, 32, (1, 1, 2, 2), 1),
    "hunyuan-1.5": Hunyuan15Config(4, 8, (1, 2, 2, 4, 4), 1),
}
"""Narrow networks, otherwise as published."""

AS_COMFYUI: dict[str, dict[str, Any]] = {
    "hunyuan-1.0": {"attention": "full"},
    "hunyuan-1.5": {"attention": "full"},
}
"""How a configuration changes to give what ComfyUI gives."""

DIFFUSERS: dict[str, tuple[str, dict[str, Any]]] = {
    "wan-2.1": (
        "AutoencoderKLWan",
        {"base_dim": 8, "z_dim": 4, "latents_mean": [0.0] * 4, "latents_std": [1.0] * 4},
    ),
    "wan-2.2": (
        "AutoencoderKLWan",
        {
            "base_dim": 8,
            "decoder_base_dim": 12,
            "z_dim": 4,
            "latents_mean": [0.0] * 4,
            "latents_std": [1.0] * 4,
            "is_residual": True,
            "in_channels": 12,
            "out_channels": 12,
            "patch_size": 2,
            "scale_factor_spatial": 16,
        },
    ),
    "hunyuan-1.0": (
        "AutoencoderKLHunyuanVideo",
        {
            "latent_channels": 4,
            "block_out_channels": (32, 32, 64, 64),
            "layers_per_block": 1,
        },
    ),
    "hunyuan-1.5": (
        "AutoencoderKLHunyuanVideo15",
        {
            "latent_channels": 4,
            "block_out_channels": (8, 16, 16, 32, 32),
            "layers_per_block": 1,
        },
    ),
}
"""The same as diffusers' classes and their arguments."""

FRAMES, LATENTS, LATENT_SIDES = 9, 3, (2, 3)
"""The clip that is encoded, and the latents that are decoded."""

STRIDE = 5
"""Of the frames that are decoded, every fifth row and column is stored."""


def fill(network: torch.nn.Module) -> torch.nn.Module:
    """The weights of the rule, in float64, ready to run."""
    network = network.double().eval().requires_grad_(False)
    state = network.state_dict()
    network.load_state_dict({key: weight(key, tuple(value.shape)) for key, value in state.items()})
    return network


def build_small(name: str, **changes: Any) -> VideoVAE:
    """Ours, in float64."""
    vae = fill(odvae.build(replace(CONFIGS[name], **changes)))
    assert isinstance(vae, VideoVAE)
    return vae


def make_inputs(name: str) -> tuple[Tensor, Tensor]:
    """A clip [1, 3, 9, H, W] in [-1, 1] and latents [1, C, 3, 2, 3], in float64."""
    vae = odvae.build(CONFIGS[name])
    height, width = (side * vae.spatial_compression for side in LATENT_SIDES)
    generator = torch.Generator().manual_seed(0)
    video = torch.rand(1, 3, FRAMES, height, width, generator=generator, dtype=torch.float64)
    shape = (1, vae.latent_channels, LATENTS, *LATENT_SIDES)
    return video * 2 - 1, torch.randn(shape, generator=generator, dtype=torch.float64)


def thin(video: Tensor) -> Tensor:
    """What of decoded frames is stored."""
    return video[..., ::STRIDE, ::STRIDE]


def hash_names(network: torch.nn.Module) -> str:
    """One number of the names and shapes of all weights."""
    state = network.state_dict()
    lines = sorted(f"{key} {list(value.shape)}" for key, value in state.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def read_vectors(name: str) -> tuple[dict[str, Tensor], str]:
    """The outputs of ComfyUI's class, and the hash of its names."""
    with safe_open(FOLDER / f"{name}.safetensors", "pt") as file:
        tensors = {key: file.get_tensor(key) for key in ("mean", "video")}
        return tensors, file.metadata()["names"]


def make_diffusers(name: str) -> Any:
    """diffusers' network of a case, with weights by its own names."""
    import diffusers  # pyright: ignore[reportMissingImports]

    kind, arguments = DIFFUSERS[name]
    return fill(getattr(diffusers, kind)(**arguments))
