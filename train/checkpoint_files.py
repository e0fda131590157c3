"""One checkpoint: a folder of files with a manifest that detects every change.

There is one file for each part (`objective.pt`, `optimiser.pt`) and `trainer.json` with the run's
facts. The manifest is written last: size and sha256 of each file, and its own sha256, the seal.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from odvae_core import CheckpointError
from odvae_core.files.atomic import sync_folder
from odvae_core.files.tensorfile import hash_file

FACTS, MANIFEST = "trainer.json", "manifest.json"
PLAIN_TYPES = (int, float, bool, str, type(None))


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose files are unchanged: its facts, the names of its parts, and its seal.

    Checkpoints with the same seal have the same files.
    """

    path: Path
    step: int
    facts: dict[str, Any]
    parts: tuple[str, ...]
    seal: str

    def load(self, part: str) -> Any:
        """A part's state, on the CPU. Raises `CheckpointError` where there is no such part."""
        if part not in self.parts:
            raise CheckpointError(
                f"{self.path} has no part {part!r}, only {', '.join(self.parts)}: resume with the "
                "configuration that it was saved with"
            )
        return torch.load(self.path / f"{part}.pt", map_location="cpu", weights_only=True)


class HashedFile:
    """Writes to an open file and hashes what is written.

    Its first error is raised by `finish`: raised inside `torch.save`, an error of the disk would
    become a RuntimeError about unexpected positions.
    """

    def __init__(self, file: BinaryIO):
        self.file, self.digest, self.size = file, hashlib.sha256(), 0
        self.error: OSError | None = None

    def write(self, data: bytes | memoryview) -> int:
        """Write bytes; after an error they are discarded."""
        if self.error is None:
            try:
                self.file.write(data)
            except OSError as error:
                self.error = error
        self.digest.update(data)
        self.size += len(data)
        return len(data)

    def flush(self) -> None:
        """Do nothing: `torch.save` calls it, and `finish` flushes."""

    def finish(self) -> dict[str, Any]:
        """Flush and sync the file; its entry in the manifest is returned. Raises `OSError`."""
        if self.error is not None:
            raise self.error
        self.file.flush()
        os.fsync(self.file.fileno())
        return {"bytes": self.size, "sha256": self.digest.hexdigest()}


def write_checkpoint(
    folder: Path, step: int, parts: Mapping[str, Any], facts: Mapping[str, Any], best: bool
) -> None:
    """Write a new folder, the manifest last, and sync it to the disk. Raises `OSError`."""
    assert all(part.isidentifier() for part in parts), list(parts)
    folder.mkdir()
    files = {f"{part}.pt": write_state(folder / f"{part}.pt", parts[part]) for part in parts}
    files[FACTS] = write_json(folder / FACTS, facts)
    manifest = {"step": step, "best": best, "files": files}
    write_json(folder / MANIFEST, {**manifest, "seal": compute_seal(manifest)})
    sync_folder(folder)


def write_state(path: Path, state: Any) -> dict[str, Any]:
    """Write a part; its entry in the manifest is returned."""
    with path.open("xb") as opened:
        file = HashedFile(opened)
        torch.save(state, file)
        return file.finish()


def write_json(path: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """Write plain values; the file's entry in the manifest is returned."""
    with path.open("xb") as opened:
        file = HashedFile(opened)
        file.write(json.dumps(values, indent=1).encode())
        return file.finish()


def open_checkpoint(path: Path) -> Checkpoint:
    """Read and verify every file of a checkpoint. Raises `CheckpointError` if one was changed."""
    manifest = read_manifest(path)
    try:
        for name, written in manifest["files"].items():
            file = path / name
            found = {"bytes": file.stat().st_size, "sha256": hash_file(file)}
            if found != written:
                raise CheckpointError(f"{file} was changed: it has {found}, not {written}")
        facts = json.loads((path / FACTS).read_bytes())
    except OSError as error:
        raise CheckpointError(f"{path} can't be read completely ({error})") from error
    parts = tuple(name.removesuffix(".pt") for name in manifest["files"] if name != FACTS)
    return Checkpoint(path, manifest["step"], facts, parts, compute_seal(manifest))


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a checkpoint. Raises `CheckpointError` where it was changed."""
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} has no readable {MANIFEST} ({error})") from error
    seal = manifest.pop("seal", None) if isinstance(manifest, dict) else None
    if seal != compute_seal(manifest):
        raise CheckpointError(f"{path / MANIFEST} was changed: its seal doesn't match")
    return manifest


def compute_seal(manifest: Any) -> str:
    """The sha256 of a manifest's values."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def count_bytes(state: Any, name: str) -> int:
    """The bytes of all tensors in a state.

    Raises `TypeError` for values that could be saved but not loaded without running code.
    """
    if isinstance(state, Tensor):
        return state.nbytes
    if type(state) in (dict, OrderedDict):
        return sum(
            count_bytes(key, name) + count_bytes(state[key], f"{name}.{key}") for key in state
        )
    if type(state) in (list, tuple):
        return sum(count_bytes(value, f"{name}[{index}]") for index, value in enumerate(state))
    if type(state) not in PLAIN_TYPES:
        raise TypeError(
            f"{name} is of type {type(state).__name__}; a checkpoint holds tensors, plain values, "
            "and dicts, lists and tuples of them: convert it"
        )
    return 0
