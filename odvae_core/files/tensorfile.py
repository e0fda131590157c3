"""Files of tensors: read any kind safely, write safetensors atomically."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .. import limits
from .atomic import BusyError, replacing
from .jsonfile import parse_fields
from .pickles import read_pickle


class CheckpointError(ValueError):
    """A checkpoint that can't be read or written: the file, what was found, what to do."""


@dataclass(frozen=True)
class TensorFile:
    """The content of a file: tensors by name, nested names joined by dots; and its metadata.

    `arguments` are those of the training, where a Lightning checkpoint stores them.
    """

    kind: str
    tensors: dict[str, Tensor]
    metadata: dict[str, str]
    arguments: dict[str, Any] = field(default_factory=dict)


def read_tensor_file(path: Path) -> TensorFile:
    """Read safetensors, or a pickle of tensors that needs no code; contents decide, not the suffix.

    The tensors lie in the file, mapped into memory: copy what outlives it. Raises
    `CheckpointError`.
    """
    try:
        limits.check_regular_file(path)
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        reason = error.strerror or error
        raise CheckpointError(f"{path} can't be read ({reason}): check the path") from error
    except ValueError as error:
        raise CheckpointError(f"{path} can't be read: {error}") from error
    if not head:
        raise CheckpointError(f"{path} is empty: download or export it again")
    if head[4:9] == b"\0\0\0\0{":  # first: the header's length may look like a pickle's start
        return read_safetensors(path)
    if head.startswith((b"PK\x03\x04", b"\x80")):
        try:
            tensors, arguments = read_pickle(path, is_zip=head.startswith(b"PK"))
        except ValueError as error:
            raise CheckpointError(f"{path} {error}") from error
        return TensorFile("pickle", tensors, {}, arguments)
    if head.startswith(b"version https://git-lfs"):
        raise CheckpointError(f"{path} is a Git LFS pointer, not the weights: run `git lfs pull`")
    raise CheckpointError(
        f"{path} is neither safetensors nor a PyTorch file; it begins with {head[:16]!r}: "
        "download the weights themselves"
    )


def read_safetensors(path: Path) -> TensorFile:
    try:
        check_header(path)
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RuntimeError, TypeError) as error:
        raise CheckpointError(
            f"{path} is a truncated or damaged safetensors file ({error}): "
            "download or export it again"
        ) from error
    return TensorFile("safetensors", tensors, metadata)


def check_header(path: Path) -> None:
    """Raise `ValueError` on a safetensors header that is too large, or names a tensor twice.

    safetensors itself silently takes the last of two entries of one name.
    """
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        limits.check_count(size, limits.HEADER_BYTES, "bytes of header")
        limits.check_names(parse_fields(file.read(size), limits.HEADER_BYTES))


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
            aside.chmod(0o666 & ~current_umask())  # safetensors lets only the owner read it
    except BusyError as error:
        raise CheckpointError(str(error)) from error
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} can't be written ({error}): check that its folder exists and has room"
        ) from error


def current_umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def hash_file(path: Path) -> str:
    """The sha256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def naming(file: Path) -> Generator[None]:
    """Turn a `ValueError` into a `CheckpointError` that names the file."""
    try:
        yield
    except CheckpointError:
        raise
    except ValueError as error:
        raise CheckpointError(f"{file}: {error}") from error
