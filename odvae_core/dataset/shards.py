"""Shards: files that hold the latents of many clips with their facts, readable without this code.

safetensors: the latents by sample id, the log variances by `ID.logvar`; the metadata hold `dataset`
and `clips` (the facts, in order) as JSON. webdataset: a tar with `ID.json` (all facts) and
`ID.safetensors` (`latent`, `logvar`) for every sample.
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
"""What reading a file that isn't as it was written can raise."""


class DatasetError(ValueError):
    """A folder of latents that can't be used: the place, what was found, what to do."""


@dataclass(frozen=True)
class Sample:
    """An encoded clip, or a piece of one: facts (`id`, `clip`, ...) and tensors [C, T, h, w]."""

    facts: Facts
    latent: Tensor
    logvar: Tensor | None = None


@dataclass(frozen=True)
class Format:
    """A kind of shard: its suffix, and how it is written, listed and read.

    `write(path, dataset, samples)` needn't be atomic; `list_facts` reads no tensor; `read` reads
    one sample at a time.
    """

    suffix: str
    write: Callable[[Path, Facts, Iterable[Sample]], None]
    list_facts: Callable[[Path], list[Facts]]
    read: Callable[[Path], Iterator[Sample]]


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn the ways in which a shard can be broken into a `DatasetError` that names it."""
    try:
        yield
    except BROKEN as error:
        raise DatasetError(
            f"{path}: can't be read as a shard of latents ({error}); bring the file back, or "
            "remove it and run `odvae encode-dataset` again"
        ) from error


def write_tensor_shard(path: Path, dataset: Facts, samples: Iterable[Sample]) -> None:
    """Write samples as safetensors, whole or not at all."""
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
    with naming(path), safe_open(path, "pt") as file:
        return json.loads(file.metadata()["clips"])


def read_tensor_shard(path: Path) -> Iterator[Sample]:
    """The samples of a safetensors shard."""
    with naming(path), safe_open(path, "pt") as file:
        names = set(file.keys())
        for facts in json.loads(file.metadata()["clips"]):
            name = facts["id"]
            logvar = file.get_tensor(name + LOGVAR) if name + LOGVAR in names else None
            yield Sample(facts, file.get_tensor(name), logvar)


def write_tar(path: Path, dataset: Facts, samples: Iterable[Sample]) -> None:
    """Write samples as a tar; every sample's facts include the dataset's."""
    with tarfile.open(path, mode="w") as tar:
        for sample in samples:
            tensors = {"latent": sample.latent}
            if sample.logvar is not None:
                tensors["logvar"] = sample.logvar
            name = sample.facts["id"]
            add_member(tar, f"{name}.json", json.dumps(dataset | sample.facts).encode())
            add_member(tar, f"{name}.safetensors", safetensors.torch.save(tensors))


def add_member(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file, the same whenever it is added."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, BytesIO(content))


def list_tar(path: Path) -> list[Facts]:
    """The facts of a tar's samples; their latents are passed over."""
    with naming(path), tarfile.open(path, "r:") as tar:
        return [
            json.load(open_member(tar, member)) for member in tar if member.name.endswith(".json")
        ]


def read_tar(path: Path) -> Iterator[Sample]:
    """The samples of a tar."""
    with naming(path), tarfile.open(path, "r:") as tar:
        for member in tar:
            content = open_member(tar, member).read()
            if member.name.endswith(".json"):
                facts = json.loads(content)
            else:
                tensors = safetensors.torch.load(content)
                yield Sample(facts, tensors["latent"], tensors.get("logvar"))


def open_member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    """The content of a member. Raises `TarError`: it is no file, or a sparse one."""
    content = tar.extractfile(member) if member.isreg() and not member.issparse() else None
    if content is None:
        raise tarfile.TarError(f"{member.name} is no plain file")
    return content


FORMATS = {
    "safetensors": Format(".safetensors", write_tensor_shard, list_tensor_shard, read_tensor_shard),
    "webdataset": Format(".tar", write_tar, list_tar, read_tar),
}
