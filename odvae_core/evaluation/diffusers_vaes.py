"""diffusers' VAE classes as candidates, with weights from a local folder."""

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
from .candidates import Candidate, Compression, compute_vcpr, count_vcpr, dtype_name, pad_and_crop

IMAGES = ("AutoencoderKL", "VQModel", "AutoencoderKLTemporalDecoder")
"""Classes that encode images; four levels with three halvings give an eighth of each side."""

CLIPS = {
    "AutoencoderKLCogVideoX": (4, 8),
    "AutoencoderKLCosmos": (8, 8),
    "AutoencoderKLHunyuanVideo": (4, 8),
    "AutoencoderKLLTXVideo": (8, 32),
    "AutoencoderKLMagvit": (4, 8),
    "AutoencoderKLMochi": (6, 8),
    "AutoencoderKLWan": (4, 8),
}
"""Classes that encode clips: temporal and spatial compression as published."""

PIECES = {"AutoencoderKLCogVideoX": 8}
"""Classes that split clips into pieces of this many frames, and take whole pieces after frame 0."""


def make_diffusers_candidate(
    name: str,
    class_name: str,
    folder: Path,
    dtype: torch.dtype,
    device: torch.device,
    video: ClipSize,
) -> Candidate:
    """A class of diffusers with the weights of a folder, run on whole crops of size `video`.

    Raises `ValueError` if diffusers, the class or the folder can't be used.
    """
    vae = load_diffusers_vae(class_name, folder, dtype).to(device).eval().requires_grad_(False)
    time, space = CLIPS.get(class_name) or (1, 2 ** (len(vae.config.block_out_channels) - 1))
    legal = Compression(PIECES.get(class_name, time), space)
    facts = {
        "parameters": sum(parameter.numel() for parameter in vae.parameters()),
        "vcpr_paper": count_vcpr(Compression(time, space)),
        "vcpr": compute_vcpr(video.padded(legal), Compression(time, space), count_channels(vae)),
        "run": f"{class_name} of diffusers, {dtype_name(dtype)} on {device.type}",
        "sha256": hash_weights(folder),
    }
    run = choose_reconstruction(class_name, vae)

    def reconstruct(clip: Tensor) -> Tensor:
        return check_shape(run(clip.to(device, dtype)).to(clip), clip, class_name)

    return Candidate(name, pad_and_crop(reconstruct, legal), facts)


def check_shape(result: Tensor, clip: Tensor, class_name: str) -> Tensor:
    """The result; raises `ValueError` unless it has the clip's shape."""
    if result.shape != clip.shape:
        raise ValueError(
            f"{class_name} returned {list(result.shape)} for {list(clip.shape)}: its configuration "
            "compresses clips differently from the published one; leave this candidate out"
        )
    return result


def load_diffusers_vae(class_name: str, folder: Path, dtype: torch.dtype) -> Any:
    """Load the model of a folder, without network access."""
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
            f"{folder}: has no config.json; give the local folder in which diffusers saved the VAE"
        )
    try:
        return getattr(diffusers, class_name).from_pretrained(
            str(folder), torch_dtype=dtype, local_files_only=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{folder}: diffusers can't load it as {class_name} ({error}); check that the folder "
            "contains the weights and that config.json names this class"
        ) from error


def choose_reconstruction(class_name: str, vae: Any) -> Callable[[Tensor], Tensor]:
    """A function that reconstructs a clip [B, 3, T, H, W] in [-1, 1] with this class."""
    if class_name in CLIPS:
        return lambda clip: vae.decode(take_mode(vae.encode(clip))).sample
    if class_name == "AutoencoderKLTemporalDecoder":
        return lambda clip: reconstruct_with_temporal_decoder(vae, clip)
    return lambda clip: per_frame(
        lambda frames: vae.decode(take_mode(vae.encode(frames))).sample, clip
    )


def reconstruct_with_temporal_decoder(vae: Any, clip: Tensor) -> Tensor:
    """Reconstruct with SVD's VAE: frames are encoded one by one and decoded as one clip."""
    latents = take_mode(vae.encode(rearrange(clip, "b c t h w -> (b t) c h w")))
    frames = vae.decode(latents, num_frames=clip.shape[2]).sample
    return rearrange(frames, "(b t) c h w -> b c t h w", b=clip.shape[0])


def take_mode(encoded: Any) -> Tensor:
    """The mode of the posterior; for a VQGAN, the latent before quantisation."""
    return encoded.latent_dist.mode() if hasattr(encoded, "latent_dist") else encoded.latents


def count_channels(vae: Any) -> int:
    """The latent channels, under either of the names in diffusers' configurations."""
    return vae.config["z_dim" if "z_dim" in vae.config else "latent_channels"]


def hash_weights(folder: Path) -> str:
    """The sha256 of a folder's weights, concatenated."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")) + sorted(folder.glob("*.bin")):
        with path.open("rb") as file:
            while piece := file.read(2**20):
                digest.update(piece)
    return digest.hexdigest()
