"""Files of tensors: read any kind safely, write safetensors atomically."""

from __future__ import annotations

import hashlib
import os
import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .atomic import BusyError, replacing


class CheckpointError(ValueError):
    """A checkpoint that can't be read or written: the file, what was found, what to do."""


@dataclass(frozen=True)
class TensorFile:
    """What a file holds: tensors by name, nested names joined by dots; and its metadata."""

    kind: str
    tensors: dict[str, Tensor]
    metadata: dict[str, str]


def read_tensor_file(path: Path) -> TensorFile:
    """Read safetensors, or a pickle of tensors that needs no code; contents decide, not the suffix.

    The tensors lie in the file, mapped into memory: copy what outlives it. Raises
    `CheckpointError`.
    """
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise CheckpointError(f"{path} can't be read ({error.strerror}): check the path") from error
    if not head:
        raise CheckpointError(f"{path} is empty: download or export it again")
    if head[4:9] == b"\0\0\0\0{":  # asked first: the header's length may begin as a pickle does
        return read_safetensors(path)
    if head.startswith((b"PK\x03\x04", b"\x80")):
        return TensorFile("pickle", read_pickle(path, is_zip=head.startswith(b"PK")), {})
    if head.startswith(b"version https://git-lfs"):
        raise CheckpointError(f"{path} is a Git LFS pointer, not the weights: run `git lfs pull`")
    raise CheckpointError(
        f"{path} is neither safetensors nor a PyTorch file; it begins with {head[:16]!r}: "
        "download the weights themselves"
    )


def read_safetensors(path: Path) -> TensorFile:
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is a truncated or damaged safetensors file ({error}): "
            "download or export it again"
        ) from error
    return TensorFile("safetensors", tensors, metadata)


def read_pickle(path: Path, is_zip: bool) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
        return dict(flatten(content))
    except Exception as error:  # a damaged pickle can raise anything
        raise CheckpointError(f"{path} {explain_pickle(path, is_zip, error)}") from error


def flatten(content: Any, prefix: str = "") -> list[tuple[str, Tensor]]:
    """The tensors of nested dicts, their names joined by dots; what else there is stays out."""
    if not isinstance(content, Mapping):
        return []
    found = []
    for key, value in content.items():
        if isinstance(value, Tensor):
            found.append((f"{prefix}{key}", value))
        elif isinstance(key, str):
            found += flatten(value, f"{prefix}{key}.")
    return found


def explain_pickle(path: Path, is_zip: bool, error: Exception) -> str:
    """Why a pickle can't be read, and what to do."""
    wanted = re.search(r"GLOBAL (\S+)|reduce for (.+)", str(error))
    if isinstance(error, pickle.UnpicklingError) and wanted:
        return (
            f"is a pickle that wants to run code ({wanted[1] or wanted[2]}), which is never "
            "allowed: where you trust it, export its state dict alone as safetensors"
        )
    if is_zip and zipfile.is_zipfile(path):
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return f"is no PyTorch file of tensors, or a damaged one ({reason}): download it again"
    return "is a truncated or damaged PyTorch file: download or export it again"


def write_safetensors(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a file whole or not at all.

    Raises `CheckpointError`; a file that was there before is then untouched.
    """
    if path.suffix.lower() != ".safetensors":
        raise CheckpointError(
            f"got the file name {path.name!r}; checkpoints are safetensors: end it in .safetensors"
        )
    try:
        with replacing(path) as aside:
            save_file(tensors, aside, metadata)
            aside.chmod(0o666 & ~current_umask())  # safetensors writes for the owner alone
    except BusyError as error:
        raise CheckpointError(str(error)) from error
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} can't be written ({error}): check that its folder exists and has room"
        ) from error


def current_umask() -> int:
    """What a new file's permissions leave out; reading it means setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def hash_file(path: Path) -> str:
    """The sha256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
