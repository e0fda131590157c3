"""Checkpoints in and out: any published layout in, safetensors that explain themselves out."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import torch
from torch import Tensor

from .build import name_preset
from .config import to_dict
from .design import FORMAT, find_design, find_mismatch, locate
from .published import SECTIONS, select_weights, strip_owner
from .tensorfile import CheckpointError, TensorFile, hash_file, read_tensor_file, write_safetensors
from .vae import VideoVAE
from .version import read_version

log = logging.getLogger(__name__)

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
"""What a checkpoint is written in."""

RESERVED = ("format", "family", "config", "version")
"""Metadata that `save` writes itself; `source` and `source_sha256` may be given."""


@dataclass(frozen=True)
class Provenance:
    """Where a VAE's weights came from, and what was taken for granted on the way.

    `layout` is how they lay in the file; `preset` the name of the preset that equals the configuration, if one does; `dtype` what
    they were stored in; `assumptions` what the file could not tell, as sentences.
    """

    path: Path
    sha256: str
    layout: str
    family: str
    preset: str | None
    parameters: int
    dtype: torch.dtype
    assumptions: tuple[str, ...]
    metadata: Mapping[str, str]

    def describe(self) -> str:
        """The same as lines of text."""
        lines = [
            f"file: {self.path.name}",
            f"sha256: {self.sha256}",
            f"layout: {self.layout}",
            f"model: {self.preset or 'a configuration of its own'} (family {self.family})",
            f"parameters: {self.parameters:,} in {str(self.dtype).removeprefix('torch.')}",
            *(f"assumed: {sentence}" for sentence in self.assumptions),
        ]
        return "\n".join(lines)


def load(
    path: str | Path,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    *,
    weights: str = "ema",
    family: str | None = None,
) -> VideoVAE:
    """A VAE from any published file or folder, or one of `save`; "default" is the embedded one.

    It is frozen, in eval mode, in `dtype` (None: as stored) on `device` (None: the CPU); its `provenance` says what was found. `weights`
    is "ema" (the averaged ones where the file has both) or "raw"; `family` refuses any other. Raises `CheckpointError`.
    """
    source = locate(path)
    with naming(source.weights):
        content = read_tensor_file(source.weights)
        tensors, section = choose_weights(content, weights)
        design = find_design(tensors, content.metadata, source, family)
        fault = find_mismatch(design.network, tensors)
        if fault:
            raise CheckpointError(
                f"its weights don't fit the configuration ({design.origin}): {fault}"
            )
        stored = reduce(torch.promote_types, {tensor.dtype for tensor in tensors.values()})
        fill(design.network, tensors, dtype or stored, device)
    vae = design.network.requires_grad_(False).eval()
    layout = ", ".join(filter(None, (content.kind, section, design.origin)))
    vae.provenance = Provenance(
        source.weights,
        hash_file(source.weights),
        layout,
        vae.family,
        name_preset(design.config),
        sum(tensor.numel() for tensor in tensors.values()),
        stored,
        design.assumptions,
        content.metadata,
    )
    log.info("loaded %s", vae.provenance.describe().replace("\n", "; "))
    return vae


def save(
    vae: VideoVAE, path: str | Path, dtype: torch.dtype | None = None, **metadata: str
) -> None:
    """Write a VAE as safetensors with its configuration: whole, or not at all.

    `dtype` is float32, float16 or bfloat16 (None: the VAE's own). `metadata` is kept beside the configuration; `source` and
    `source_sha256` name what the weights came from, by default the file that they were loaded from. Raises `CheckpointError`
    on weights that aren't finite.
    """
    for name, value in metadata.items():
        if name in RESERVED or not isinstance(value, str):
            raise ValueError(
                f"got metadata {name} = {value!r}; values are strings, and {', '.join(RESERVED)} are "
                "written by save itself: choose another name or a string"
            )
    with naming(Path(path)):
        tensors = {key: store(key, value, dtype) for key, value in vae.state_dict().items()}
    write_safetensors(Path(path), tensors, describe_vae(vae) | metadata)


def read_tensors(
    path: str | Path, weights: str = "ema"
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The weights of any file or folder by their plain names, whatever they are of, and its metadata.

    They lie in the file, mapped into memory: copy what outlives it. Raises `CheckpointError`.
    """
    source = locate(path)
    with naming(source.weights):
        content = read_tensor_file(source.weights)
        return select_weights(content.tensors, weights)[0], content.metadata


@contextmanager
def naming(file: Path) -> Iterator[None]:
    """Put the file's name in front of an error."""
    try:
        yield
    except ValueError as error:
        text = str(error)
        raise CheckpointError(text if text.startswith(str(file)) else f"{file}: {text}") from error


def choose_weights(content: TensorFile, weights: str) -> tuple[dict[str, Tensor], str]:
    """The VAE's weights in a file, and the section they lay in."""
    if weights not in SECTIONS:
        raise ValueError(f"got weights = {weights!r}; choose one of {', '.join(SECTIONS)}")
    tensors, section = select_weights(content.tensors, weights)
    tensors = strip_owner(tensors)
    if not tensors:
        raise CheckpointError("it holds no tensors of a VAE: give a file of weights")
    return tensors, section


def fill(
    network: VideoVAE,
    tensors: Mapping[str, Tensor],
    dtype: torch.dtype,
    device: torch.device | str | None,
) -> None:
    """Give an empty network its weights, each moved by itself, so that there is one copy in memory."""
    if not dtype.is_floating_point:
        raise ValueError(f"got dtype {dtype}; weights are floating-point: choose one such type")
    weights = {
        key: convert(key, tensor, dtype).to(device or "cpu", copy=True)
        for key, tensor in tensors.items()
    }
    network.load_state_dict(weights, assign=True)


def convert(key: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """A weight in another type. Raises `ValueError` where it then isn't finite."""
    converted = tensor.detach().to(dtype)
    if converted.isfinite().all():
        return converted
    if tensor.dtype.itemsize > dtype.itemsize and tensor.isfinite().all():
        raise ValueError(f"{key} is too large for {dtype}: choose torch.bfloat16 or torch.float32")
    raise ValueError(f"{key} holds values that aren't finite: these weights are broken, use others")


def store(key: str, tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    """A weight as a checkpoint holds it."""
    dtype = dtype or tensor.dtype
    if dtype not in DTYPES:
        raise ValueError(
            f"got dtype {dtype}; a checkpoint is written in {', '.join(map(str, DTYPES))}: "
            "choose one of these"
        )
    return convert(key, tensor, dtype).cpu().contiguous()


def describe_vae(vae: VideoVAE) -> dict[str, str]:
    """The metadata by which a file explains itself."""
    described = {
        "format": str(FORMAT),
        "family": vae.family,
        "config": json.dumps(to_dict(vae.config)),
        "version": read_version(),
        "source": "odvae_core.build",
    }
    if vae.provenance is not None:
        described["source"] = vae.provenance.path.name
        described["source_sha256"] = vae.provenance.sha256
    return described
