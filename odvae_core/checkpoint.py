"""Checkpoints in and out: any published layout in, safetensors that explain themselves out."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import torch
from torch import Tensor

from .design import Contents, Design, find_design
from .explanation import describe_vae, unpack_metadata
from .location import Source, locate
from .published import CONFIG_KEY, SECTIONS, select_weights, strip_owner
from .registry import choose_families, name_preset
from .tensorfile import CheckpointError, hash_file, read_tensor_file, write_safetensors
from .vae import VideoVAE

log = logging.getLogger(__name__)

WRITTEN = (torch.float32, torch.float16, torch.bfloat16)
READ = (*WRITTEN, torch.float64)
"""What weights are stored in."""

RESERVED = ("format", "family", "config", "version")
"""Metadata that only `save` itself writes."""


@dataclass(frozen=True)
class Provenance:
    """Where a VAE's weights came from, and what was taken for granted on the way.

    `layout` is how they lay in the file; `preset` the name of the preset that equals the
    configuration, if one does; `dtype` what they were stored in; `assumptions` what the file could
    not tell, as sentences.
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
    images: bool = False,
) -> VideoVAE:
    """A VAE from any published file or folder, or one of `save`; "default" is the embedded one.

    It is frozen, in eval mode, in `dtype` (None: float32, whatever the file holds, for float16 is
    very slow on a CPU) on `device` (None: the CPU); its `provenance` says what was found. `weights`
    is "ema" (the averaged ones where the file has both) or "raw"; `family` refuses any other;
    `images` also takes a 2D VAE, in LDM or diffusers names, alone or within a whole checkpoint.
    Raises `CheckpointError` on a bad file, with what to do, and `ValueError` on a bad argument.
    """
    check_arguments(dtype, weights, family)
    source = locate(path)
    with naming(source.weights):
        content = read_tensor_file(source.weights)
        tensors, section = select_weights(content.tensors, weights)
        contents = read_contents(tensors, content.metadata, source)
        design = find_design(contents, family, images)
        stored = find_dtype(design.tensors)
        fill(design, dtype or torch.float32, device)
    vae = design.network.requires_grad_(False).eval()
    layout = ", ".join(filter(None, (content.kind, section, design.origin)))
    vae.provenance = trace(source.weights, layout, design, stored, contents.metadata)
    log.info("loaded %s", vae.provenance.describe().replace("\n", "; "))
    return vae


def read_contents(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str], source: Source | None
) -> Contents:
    """The VAE within a file's tensors, and the metadata that they carry where they do."""
    inside = strip_owner(tensors)
    carried = inside.pop(CONFIG_KEY, None)
    if carried is not None:
        metadata = unpack_metadata(carried)
    return Contents(inside, tensors.keys(), metadata, source)


def load_image_parent(
    parent: str | Path | Mapping[str, Tensor], norm_groups: int
) -> tuple[VideoVAE, tuple[str, ...]]:
    """The 2D VAE of a file, or of a state dict in such names, and what was assumed of it.

    `norm_groups` are taken where nothing tells them. Raises `CheckpointError` for a file and
    `ValueError` for a state dict.
    """
    if not isinstance(parent, str | Path):
        return fill_image_parent(read_contents(parent, {}, None), norm_groups)
    source = locate(parent)
    with naming(source.weights):
        content = read_tensor_file(source.weights)
        tensors, _ = select_weights(content.tensors, "ema")
        contents = read_contents(tensors, content.metadata, source)
        return fill_image_parent(contents, norm_groups)


def fill_image_parent(contents: Contents, norm_groups: int) -> tuple[VideoVAE, tuple[str, ...]]:
    """The 2D VAE of a file's contents, in float32, and what was assumed of it."""
    design = find_design(contents, None, images=True, norm_groups=norm_groups)
    find_dtype(design.tensors)
    fill(design, torch.float32, None)
    return design.network.requires_grad_(False).eval(), design.assumptions


def trace(
    file: Path, layout: str, design: Design, stored: torch.dtype, metadata: Mapping[str, str]
) -> Provenance:
    """What is known of a VAE just loaded."""
    return Provenance(
        file,
        hash_file(file),
        layout,
        design.network.family,
        name_preset(design.config),
        sum(parameter.numel() for parameter in design.network.parameters()),
        stored,
        design.assumptions,
        metadata,
    )


def save(
    vae: VideoVAE, path: str | Path, dtype: torch.dtype | None = None, **metadata: str
) -> None:
    """Write a VAE as safetensors with its configuration: whole, or not at all.

    `dtype` is float32, float16 or bfloat16 (None: the VAE's own). `metadata` is kept beside the
    configuration; `source` and `source_sha256` name what the weights came from, by default the file
    that they were loaded or inflated from. Raises `CheckpointError` on weights that aren't finite
    or a file that can't be written, and `ValueError` on bad metadata.
    """
    for name, value in metadata.items():
        if name in RESERVED or not isinstance(value, str):
            raise ValueError(
                f"got metadata {name} = {value!r}; values are strings, and save itself writes "
                f"{', '.join(RESERVED)}: choose a string, or another name"
            )
    with naming(Path(path)):
        tensors = {key: store(key, value, dtype) for key, value in vae.state_dict().items()}
    write_safetensors(Path(path), tensors, describe_vae(vae) | metadata)


def read_tensors(
    path: str | Path, weights: str = "ema"
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The weights of any file or folder by plain names, whatever they are of, and its metadata.

    They lie in the file, mapped into memory: copy what outlives it. Raises `CheckpointError`.
    """
    check_arguments(None, weights, None)
    source = locate(path)
    with naming(source.weights):
        content = read_tensor_file(source.weights)
        return select_weights(content.tensors, weights)[0], content.metadata


def check_arguments(dtype: torch.dtype | None, weights: str, family: str | None) -> None:
    """Raise `ValueError` on what no file could satisfy."""
    if dtype not in (None, *READ):
        raise ValueError(f"got dtype {dtype}; choose one of {', '.join(map(str, READ))}")
    if weights not in SECTIONS:
        raise ValueError(f"got weights = {weights!r}; choose one of {', '.join(SECTIONS)}")
    choose_families(family)


@contextmanager
def naming(file: Path) -> Iterator[None]:
    """Turn a `ValueError` into a `CheckpointError` that names the file."""
    try:
        yield
    except CheckpointError:
        raise
    except ValueError as error:
        raise CheckpointError(f"{file}: {error}") from error


def find_dtype(tensors: Mapping[str, Tensor]) -> torch.dtype:
    """The widest type of stored weights. Raises `ValueError` where one is no floating point."""
    for key, tensor in tensors.items():
        if tensor.dtype not in READ or tensor.layout is not torch.strided or tensor.is_meta:
            raise ValueError(
                f"{key} is stored as {tensor.dtype}, {tensor.layout}, on {tensor.device}: "
                "give a file of plain float32, float16 or bfloat16 weights"
            )
    return reduce(torch.promote_types, {tensor.dtype for tensor in tensors.values()})


def fill(design: Design, dtype: torch.dtype, device: torch.device | str | None) -> None:
    """Give an empty network its weights, one after the other: there is one copy in memory."""
    weights = {
        key: convert(key, tensor, dtype).to(device or "cpu", copy=True)
        for key, tensor in design.tensors.items()
    }
    design.network.load_state_dict(weights, assign=True)


def convert(key: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """A weight in another type. Raises `ValueError` where it isn't finite in it."""
    converted = tensor.detach().to(dtype)
    if converted.isfinite().all():
        return converted
    if tensor.isfinite().all():
        raise ValueError(f"{key} is too large for {dtype}: choose torch.bfloat16 or torch.float32")
    raise ValueError(f"{key} holds values that aren't finite: its weights are broken, use others")


def store(key: str, tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    """A weight as a checkpoint holds it."""
    dtype = dtype or tensor.dtype
    if dtype not in WRITTEN:
        raise ValueError(f"got dtype {dtype}; choose one of {', '.join(map(str, WRITTEN))}")
    return convert(key, tensor, dtype).cpu().contiguous()
