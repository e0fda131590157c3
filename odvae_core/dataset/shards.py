"""Shards: files with the latents and facts of many clips, readable without this package.

safetensors: the latents by sample id, the log variances as `ID.logvar`; the metadata contain
`dataset` and `clips` (the facts, in order) as JSON. webdataset: a tar with `ID.json` (all facts)
and `ID.safetensors` (`latent`, `logvar`) for every sample.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..files.tensorfile import write_safetensors

Facts = dict[str, Any]
LOGVAR = ".logvar"  # ids have no dots


BROKEN = (
    SafetensorError,
    tarfile.TarError,
    OSError,
    AttributeError,
    KeyError,
    TypeError,
    ValueError,
    RecursionError,
)
"""The exceptions that reading a damaged shard can raise."""


class DatasetError(ValueError):
    """A folder of latents can't be used: the text names the path, the finding and the remedy."""


@dataclass(frozen=True)
class Sample:
    """An encoded clip, or a piece of one: facts (`id`, `clip`, ...) and tensors [C, T, h, w]."""

    facts: Facts
    latent: Tensor
    logvar: Tensor | None = None


@dataclass(frozen=True)
class Format:
    """A kind of shard: its suffix and the functions that write, list and read it.

    `write(path, dataset, samples)` needn't be atomic; `list_facts` reads no tensor; `read` reads
    one sample at a time.
    """

    suffix: str
    write: Callable[[Path, Facts, Iterable[Sample]], None]
    list_facts: Callable[[Path], list[Facts]]
    read: Callable[[Path], Iterator[Sample]]


@contextmanager
def naming_file(path: Path) -> Iterator[None]:
    """Convert the exceptions of `BROKEN` to a `DatasetError` that names the file."""
    try:
        yield
    except BROKEN as error:
        raise DatasetError(
            f"{path}: can't be read as a shard of latents ({error}); bring the file back, or "
            "remove it and run `odvae encode-dataset` again"
        ) from error


def write_tensor_shard(path: Path, dataset: Facts, samples: Iterable[Sample]) -> None:
    """Write samples as a safetensors file, atomically."""
    tensors, clips = {}, []
    for sample in samples:
        clips.append(sample.facts)
        tensors[sample.facts["id"]] = sample.latent
        if sample.logvar is not None:
            tensors[sample.facts["id"] + LOGVAR] = sample.logvar
    metadata = {"dataset": json.dumps(dataset), "clips": json.dumps(clips)}
    write_safetensors(path, tensors, metadata)


def list_tensor_shard(path: Path) -> list[Facts]:
    """The facts of a safetensors shard's samples."""
    with naming_file(path), safe_open(path, "pt") as file:
        return json.loads(file.metadata()["clips"])


def read_tensor_shard(path: Path) -> Iterator[Sample]:
    """The samples of a safetensors shard."""
    with naming_file(path), safe_open(path, "pt") as file:
        names = set(file.keys())
        for facts in json.loads(file.metadata()["clips"]):
            name = facts["id"]
            logvar = file.get_tensor(name + LOGVAR) if name + LOGVAR in names else None
            yield Sample(facts, file.get_tensor(name), logvar)


def write_tar(path: Path, dataset: Facts, samples: Iterable[Sample]) -> None:
    """Write samples as a tar; the facts of every sample include the dataset's."""
    with tarfile.open(path, mode="w") as tar:
        for sample in samples:
            tensors = {"latent": sample.latent}
            if sample.logvar is not None:
                tensors["logvar"] = sample.logvar
            name = sample.facts["id"]
            add_member(tar, f"{name}.json", json.dumps(dataset | sample.facts).encode())
            add_member(tar, f"{name}.safetensors", safetensors.torch.save(tensors))


def add_member(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file with fixed metadata, so that equal content gives equal archives."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, BytesIO(content))


def list_tar(path: Path) -> list[Facts]:
    """The facts of a tar's samples; latents are skipped."""
    with naming_file(path), tarfile.open(path, "r:") as tar:
        return [
            json.load(open_member(tar, member)) for member in tar if member.name.endswith(".json")
        ]


def read_tar(path: Path) -> Iterator[Sample]:
    """The samples of a tar."""
    with naming_file(path), tarfile.open(path, "r:") as tar:
        for member in tar:
            content = open_member(tar, member).read()
            if member.name.endswith(".json"):
                facts = json.loads(content)
            else:
                tensors = safetensors.torch.load(content)
                yield Sample(facts, tensors["latent"], tensors.get("logvar"))


def open_member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    """The content of a member. Raises `TarError` if it is not a regular file, or sparse."""
    content = tar.extractfile(member) if member.isreg() and not member.issparse() else None
    if content is None:
        raise tarfile.TarError(f"{member.name} is not a regular file")
    return content


FORMATS = {
    "safetensors": Format(".safetensors", write_tensor_shard, list_tensor_shard, read_tensor_shard),
    "webdataset": Format(".tar", write_tar, list_tar, read_tar),
}
