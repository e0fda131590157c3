"""Checkpoints in: any published layout to a VAE in eval mode."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import reduce
from pathlib import Path

import torch
from torch import Tensor, nn

from ..files.tensorfile import hash_file, naming, read_tensor_file
from ..formats import CONFIG_KEY, SECTIONS, select_weights, strip_owner, to_native
from ..provenance import Provenance
from ..registry import choose_families, name_preset
from ..vae import VideoVAE
from .detect import Contents, Detection, detect_network
from .location import Source, locate
from .metadata import unpack_metadata
from .write import READ, convert

log = logging.getLogger(__name__)


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
        detected = detect_network(contents, family, images)
        stored = find_dtype(detected.tensors)
        fill(detected.network, detected.tensors, dtype or torch.float32, device)
    vae = detected.network.requires_grad_(False).eval()
    layout = ", ".join(filter(None, (content.kind, section, detected.origin)))
    vae.provenance = trace(source.weights, layout, detected, stored, contents.metadata)
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
    return Contents(to_native(inside), tensors.keys(), metadata, source)


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
    detected = detect_network(contents, None, images=True, norm_groups=norm_groups)
    find_dtype(detected.tensors)
    fill(detected.network, detected.tensors, torch.float32, None)
    return detected.network.requires_grad_(False).eval(), detected.assumptions


def trace(
    file: Path, layout: str, detected: Detection, stored: torch.dtype, metadata: Mapping[str, str]
) -> Provenance:
    """What is known of a VAE just loaded."""
    return Provenance(
        file,
        hash_file(file),
        layout,
        detected.network.family,
        name_preset(detected.config),
        sum(parameter.numel() for parameter in detected.network.parameters()),
        stored,
        detected.assumptions,
        metadata,
    )


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


def find_dtype(tensors: Mapping[str, Tensor]) -> torch.dtype:
    """The widest type of stored weights. Raises `ValueError` where one is no floating point."""
    for key, tensor in tensors.items():
        if tensor.dtype not in READ or tensor.layout is not torch.strided or tensor.is_meta:
            raise ValueError(
                f"{key} is stored as {tensor.dtype}, {tensor.layout}, on {tensor.device}: "
                "give a file of plain float32, float16 or bfloat16 weights"
            )
    return reduce(torch.promote_types, {tensor.dtype for tensor in tensors.values()})


def fill(
    network: nn.Module,
    tensors: Mapping[str, Tensor],
    dtype: torch.dtype,
    device: torch.device | str | None,
) -> None:
    """Give an empty network its weights, one after the other: there is one copy in memory."""
    weights = {
        key: convert(key, tensor, dtype).to(device or "cpu", copy=True)
        for key, tensor in tensors.items()
    }
    network.load_state_dict(weights, assign=True)
