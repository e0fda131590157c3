"""diffusers' VAE classes as candidates, on weights in a local folder."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from ..layers.conv import per_frame
from ..padding import ClipSize
from .candidates import Candidate, Compression, find_vcpr, fitted, name_type

IMAGES = ("AutoencoderKL", "VQModel", "AutoencoderKLTemporalDecoder")
"""Classes that encode pictures; an eighth a side is three halvings between four levels."""

CLIPS = {
    "AutoencoderKLCogVideoX": (4, 8),
    "AutoencoderKLCosmos": (8, 8),
    "AutoencoderKLHunyuanVideo": (4, 8),
    "AutoencoderKLLTXVideo": (8, 32),
    "AutoencoderKLMagvit": (4, 8),
    "AutoencoderKLMochi": (6, 8),
    "AutoencoderKLWan": (4, 8),
}
"""Classes that encode clips: by how much they shorten time and the sides, as published."""

PIECES = {"AutoencoderKLCogVideoX": 8}
"""Classes that cut clips into pieces of so many frames, and take whole ones only after frame 0."""


def enter_diffusers(
    name: str,
    class_name: str,
    folder: Path,
    dtype: torch.dtype,
    device: torch.device,
    video: ClipSize,
) -> Candidate:
    """A class of diffusers with the weights of a folder, run on whole crops of size `video`.

    Raises `ValueError` where diffusers, the class or the folder can't be used.
    """
    vae = load_diffusers_vae(class_name, folder, dtype).to(device).eval().requires_grad_(False)
    time, space = CLIPS.get(class_name) or (1, 2 ** (len(vae.config.block_out_channels) - 1))
    legal = Compression(PIECES.get(class_name, time), space)
    facts = {
        "parameters": sum(parameter.numel() for parameter in vae.parameters()),
        "vcpr": find_vcpr(video.padded(legal), Compression(time, space), count_channels(vae)),
        "run": f"{class_name} of diffusers, {name_type(dtype)} on {device.type}",
        "sha256": hash_weights(folder),
    }
    run = choose_way(class_name, vae)

    def reconstruct(clip: Tensor) -> Tensor:
        return check_shape(run(clip.to(device, dtype)).to(clip), clip, class_name)

    return Candidate(name, fitted(reconstruct, legal), facts)


def check_shape(result: Tensor, clip: Tensor, class_name: str) -> Tensor:
    """The result; raises `ValueError` where it isn't of the clip's shape."""
    if result.shape != clip.shape:
        raise ValueError(
            f"{class_name} made {list(result.shape)} of {list(clip.shape)}: its configuration "
            "shortens clips otherwise than the published one; leave this candidate out"
        )
    return result


def load_diffusers_vae(class_name: str, folder: Path, dtype: torch.dtype) -> Any:
    """The model of a folder, without any network."""
    try:
        import diffusers  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ValueError(
            f"got --diffusers {class_name}, but the package diffusers can't be imported ({error}): "
            "run `pip install diffusers`, or leave this candidate out"
        ) from error
    if class_name not in (*IMAGES, *CLIPS) or not hasattr(diffusers, class_name):
        known = [name for name in (*IMAGES, *CLIPS) if hasattr(diffusers, name)]
        raise ValueError(f"got --diffusers {class_name}; choose one of {', '.join(known)}")
    if not (folder / "config.json").is_file():
        raise ValueError(
            f"{folder}: holds no config.json; give the local folder that diffusers saved the VAE in"
        )
    try:
        return getattr(diffusers, class_name).from_pretrained(
            str(folder), torch_dtype=dtype, local_files_only=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{folder}: diffusers can't load it as {class_name} ({error}); are its weights there, "
            "and is the class the one that config.json names?"
        ) from error


def choose_way(class_name: str, vae: Any) -> Callable[[Tensor], Tensor]:
    """How a class reconstructs a clip [B, 3, T, H, W] in [-1, 1]."""
    if class_name in CLIPS:
        return lambda clip: vae.decode(take_mode(vae.encode(clip))).sample
    if class_name == "AutoencoderKLTemporalDecoder":
        return lambda clip: decode_in_time(vae, clip)
    return lambda clip: per_frame(
        lambda frames: vae.decode(take_mode(vae.encode(frames))).sample, clip
    )


def decode_in_time(vae: Any, clip: Tensor) -> Tensor:
    """SVD's VAE: frames are encoded each for itself, and decoded as one clip."""
    latents = take_mode(vae.encode(rearrange(clip, "b c t h w -> (b t) c h w")))
    frames = vae.decode(latents, num_frames=clip.shape[2]).sample
    return rearrange(frames, "(b t) c h w -> b c t h w", b=clip.shape[0])


def take_mode(encoded: Any) -> Tensor:
    """The likeliest latent; that of a VQGAN, which has no other, before it is quantised."""
    return encoded.latent_dist.mode() if hasattr(encoded, "latent_dist") else encoded.latents


def count_channels(vae: Any) -> int:
    """Of the latent, by either of the names that diffusers' configurations have for it."""
    return vae.config["z_dim" if "z_dim" in vae.config else "latent_channels"]


def hash_weights(folder: Path) -> str:
    """The sha256 of a folder's weights, one file after the other."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")) + sorted(folder.glob("*.bin")):
        with path.open("rb") as file:
            while piece := file.read(2**20):
                digest.update(piece)
    return digest.hexdigest()
