"""Pickles of tensors: read without running code, in memory bounded by the file's size."""

from __future__ import annotations

import io
import pickle
import pickletools
import re
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from .. import limits

ALLOCATING = ("builtins bytearray", "__builtin__ bytearray")
"""Functions that a pickle may name and that allocate memory beyond the file's size."""

LEGACY_PICKLES = 5
"""The pickles of a legacy PyTorch file, before its tensor data."""


class Arguments:
    """What stands for `argparse.Namespace` in a checkpoint: its values, as plain data."""


def read_pickle(path: Path, is_zip: bool) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a PyTorch file, their names joined by dots, and the arguments of its training.

    The latter are those that Lightning stores. Raises `ValueError`.
    """
    try:
        check_archive(path) if is_zip else check_legacy(path)
        with torch.serialization.safe_globals([(Arguments, "argparse.Namespace")]):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
        tensors = flatten(content)
    except RefusedError:
        raise
    except Exception as error:  # a damaged pickle can raise anything
        raise ValueError(explain_error(path, is_zip, error)) from error
    check_storage(tensors, path.stat().st_size)
    return tensors, read_arguments(content)


def read_arguments(content: Any) -> dict[str, Any]:
    """The numbers, words and lists of these among Lightning's `hyper_parameters`."""
    given = content.get("hyper_parameters") if isinstance(content, Mapping) else None
    if isinstance(given, Mapping):
        given = given.get("args", given)
    values = vars(given) if isinstance(given, Arguments) else given
    if not isinstance(values, Mapping):
        return {}
    plain = int | float | str

    def is_plain(value: Any) -> bool:
        return isinstance(value, plain) or (
            isinstance(value, list | tuple) and all(isinstance(item, plain) for item in value)
        )

    return {name: value for name, value in values.items() if type(name) is str and is_plain(value)}


class RefusedError(ValueError):
    """A valid pickle with content that no file of weights needs."""


def check_archive(path: Path) -> None:
    """Raise `RefusedError` on a zip file whose members are packed, or too many or too large."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise RefusedError("is a packed zip file, which PyTorch never writes: unpack it")
        if sum(member.file_size for member in members) > path.stat().st_size:
            raise RefusedError("is a zip file of members that overlap: download it again")
        for member in members:
            if member.filename.endswith("data.pkl"):
                check_size(member.file_size)
                check_program(io.BytesIO(archive.read(member)))


def check_legacy(path: Path) -> None:
    """Raise `RefusedError` on a tar file, and on pickles that ask for too much."""
    if tarfile.is_tarfile(path):
        raise RefusedError(
            "is a tar file, as PyTorch wrote before 2017: load it there and save it again"
        )
    with path.open("rb") as file:
        start = io.BytesIO(file.read(limits.PICKLE_BYTES))
    for _ in range(LEGACY_PICKLES):
        check_program(start)


def check_size(size: int) -> None:
    """Raise `RefusedError` on a pickle that is longer than any real one."""
    if size > limits.PICKLE_BYTES:
        raise RefusedError(
            f"is a pickle of {size:,} bytes; at most {limits.PICKLE_BYTES:,} are read: "
            "export its state dict alone as safetensors"
        )


def check_program(stream: BinaryIO) -> None:
    """Scan one pickle without running it. Raises `RefusedError` where it would allocate memory."""
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name == "GLOBAL" and argument in ALLOCATING:
            raise RefusedError(
                f"is a pickle that creates a {str(argument).split()[1]}, which no weights need: "
                "export its state dict alone as safetensors"
            )


def flatten(content: Any) -> dict[str, Tensor]:
    """The tensors of nested dicts, their names joined by dots; other values are skipped.

    Raises `RefusedError` where there are too many, too deep, or two of one name.
    """
    found: dict[str, Tensor] = {}
    for count, (name, tensor) in enumerate(walk(content, "", 0), start=1):
        if count > limits.PICKLE_ENTRIES:
            raise RefusedError("is a pickle of too many entries: export its state dict")
        if name in found:
            raise RefusedError(f"is a pickle of two tensors {name[:40]!r}: export its state dict")
        if tensor is not None:
            found[name] = tensor
    try:
        limits.check_names(found)
    except ValueError as error:
        raise RefusedError(f"is no file of weights: {error}") from error
    return found


def walk(content: Any, prefix: str, depth: int) -> Iterator[tuple[str, Tensor | None]]:
    """Every entry of nested dicts that has a name: the tensor, or None for what is none."""
    if not isinstance(content, Mapping):
        return
    if depth > limits.PICKLE_DEPTH:
        raise RefusedError(
            f"is a pickle of dicts more than {limits.PICKLE_DEPTH} deep: export its state dict"
        )
    for key, value in content.items():
        if not isinstance(key, str):
            continue
        name = f"{prefix}{key}"
        yield name, value if isinstance(value, Tensor) else None
        yield from walk(value, f"{name}.", depth + 1)


def check_storage(tensors: Mapping[str, Tensor], size: int) -> None:
    """Raise `ValueError` where tensors are larger than what is stored of them.

    Strides of 0 make a number many, and tensors may share theirs: a copy of each would need memory
    that the file's `size` doesn't warrant.
    """
    total = 0
    for key, tensor in tensors.items():
        if tensor.layout is not torch.strided or tensor.is_meta or tensor.is_quantized:
            continue  # no plain weight: refused where it is part of a VAE
        needed = tensor.numel() * tensor.element_size()
        if needed > min(tensor.untyped_storage().nbytes(), size):
            raise ValueError(
                f"holds {key}, {needed:,} bytes of which fewer are stored (an expanded tensor): "
                "save a copy of it (.contiguous())"
            )
        total += needed
    if total > limits.SHARED * size:
        raise ValueError(
            f"holds tensors of {total:,} bytes in a file of {size:,}, so they share their numbers: "
            "save copies of them"
        )


def explain_error(path: Path, is_zip: bool, error: Exception) -> str:
    """Why a pickle can't be read, and what to do."""
    wanted = re.search(r"GLOBAL (\S+)|reduce for (.+)", str(error))
    if isinstance(error, pickle.UnpicklingError) and wanted:
        return (
            f"is a pickle that would run code ({wanted[1] or wanted[2]}), which is never "
            "allowed: where you trust it, export its state dict alone as safetensors"
        )
    if is_zip and zipfile.is_zipfile(path):
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return f"is no PyTorch file of tensors, or a damaged one ({reason}): download it again"
    return "is a truncated or damaged PyTorch file: download or export it again"
