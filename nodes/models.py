"""Which files a node offers, and where they are: never anything but a file that ComfyUI lists."""

from __future__ import annotations

from pathlib import Path

import folder_paths

DEFAULT = "default"
SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin")


def list_vaes() -> list[str]:
    """The files of models/vae and output/vae."""
    return _list("vae")


def list_2d_vaes() -> list[str]:
    """The files that may hold a 2D VAE, each as folder/name: of models/vae, output/vae and
    models/checkpoints."""
    return [f"{folder}/{name}" for folder in ("vae", "checkpoints") for name in _list(folder)]


def find_vae(name: str) -> Path:
    """The file of this name. Raises `ValueError` unless `list_vaes` has it."""
    return _find("vae", name, list_vaes(), name)


def find_2d_vae(name: str) -> Path:
    """The file of this folder/name. Raises `ValueError` unless `list_2d_vaes` has it."""
    folder, _, rest = name.partition("/")
    return _find(folder, rest, list_2d_vaes(), name)


def _list(folder: str) -> list[str]:
    return [name for name in folder_paths.get_filename_list(folder) if name.endswith(SUFFIXES)]


def _find(folder: str, name: str, listed: list[str], given: str) -> Path:
    # 0.3.64 doesn't check that a combo's value is one of its options.
    if given not in listed:
        raise ValueError(
            f"got the file {given!r}, which ComfyUI doesn't list: choose one of its {len(listed)} "
            "files, or put the file into models/vae and refresh the page (R)"
        )
    return Path(folder_paths.get_full_path_or_raise(folder, name))


def stamp_file(path: Path) -> str | None:
    """What changes when a file is replaced; None where there is no file."""
    try:
        file = path.stat()
    except OSError:
        return None
    return f"{file.st_mtime_ns} {file.st_size}"
