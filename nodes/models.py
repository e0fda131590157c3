"""The checkpoint files that a node offers: only files that ComfyUI lists."""

from __future__ import annotations

from pathlib import Path

import folder_paths

DEFAULT = "default"
SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin")


def list_vaes() -> list[str]:
    """The files of models/vae and output/vae."""
    return _list("vae")


def list_2d_vaes() -> list[str]:
    """The files of models/vae, output/vae and models/checkpoints as folder/name; each may hold a
    2D VAE."""
    return [f"{folder}/{name}" for folder in ("vae", "checkpoints") for name in _list(folder)]


def list_text_encoders() -> list[str]:
    """The files of models/text_encoders and models/clip."""
    return _list("text_encoders")


def list_diffusion_models() -> list[str]:
    """The files of models/diffusion_models."""
    return _list("diffusion_models")


def find_vae(name: str) -> Path:
    """The path of this file. Raises `ValueError` unless `list_vaes` contains it."""
    return _find("vae", name, list_vaes(), name)


def find_2d_vae(name: str) -> Path:
    """The path of this folder/name. Raises `ValueError` unless `list_2d_vaes` contains it."""
    folder, _, rest = name.partition("/")
    return _find(folder, rest, list_2d_vaes(), name)


def find_text_encoder(name: str) -> Path:
    """The path of this file. Raises `ValueError` unless `list_text_encoders` contains it."""
    return _find("text_encoders", name, list_text_encoders(), name)


def find_diffusion_model(name: str) -> Path:
    """The path of this file. Raises `ValueError` unless `list_diffusion_models` contains it."""
    return _find("diffusion_models", name, list_diffusion_models(), name)


def _list(folder: str) -> list[str]:
    return [name for name in folder_paths.get_filename_list(folder) if name.endswith(SUFFIXES)]


def _find(folder: str, name: str, listed: list[str], given: str) -> Path:
    # ComfyUI 0.3.64 doesn't check that a combo's value is one of its options.
    if given not in listed:
        raise ValueError(
            f"got the file {given!r}, which ComfyUI doesn't list: choose one of its {len(listed)} "
            f"files, or put the file into models/{folder} and refresh the page (R)"
        )
    return Path(folder_paths.get_full_path_or_raise(folder, name))
