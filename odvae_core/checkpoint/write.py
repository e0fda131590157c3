"""Checkpoints out: safetensors with the configuration in their metadata."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ..files.tensorfile import naming, write_safetensors
from ..vae import VideoVAE
from .metadata import describe_vae

WRITTEN = (torch.float32, torch.float16, torch.bfloat16)
READ = (*WRITTEN, torch.float64)

RESERVED = ("format", "family", "config", "version")
"""Metadata that only `save` itself writes."""


def save(
    vae: VideoVAE, path: str | Path, dtype: torch.dtype | None = None, **metadata: str
) -> None:
    """Write a VAE as safetensors with its configuration: whole, or not at all.

    `dtype` is float32, float16 or bfloat16 (None: the VAE's own). `metadata` is kept beside the
    configuration; `source` and `source_sha256` name what the weights came from, by default the file
    that they were loaded or inflated from. Raises `CheckpointError` on weights that aren't finite
    or a file that can't be written, and `ValueError` on bad metadata.
    """
    check_metadata(metadata)
    write_weights(vae, Path(path), dtype, describe_vae(vae) | metadata)


def check_metadata(metadata: dict[str, str]) -> None:
    """Raise `ValueError` on metadata that are no strings, or that only `save` itself writes."""
    for name, value in metadata.items():
        if name in RESERVED or type(value) is not str:
            raise ValueError(
                f"got metadata {name} = {value!r}; values are strings, and save itself writes "
                f"{', '.join(RESERVED)}: choose a string, or another name"
            )


def write_weights(
    network: nn.Module, path: Path, dtype: torch.dtype | None, metadata: dict[str, str]
) -> None:
    """Write a network's weights and its metadata: whole, or not at all."""
    with naming(path):
        tensors = {key: as_stored(key, value, dtype) for key, value in network.state_dict().items()}
    write_safetensors(path, tensors, metadata)


def as_stored(key: str, tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    """A weight as a checkpoint holds it."""
    dtype = dtype or tensor.dtype
    if dtype not in WRITTEN:
        raise ValueError(f"got dtype {dtype}; choose one of {', '.join(map(str, WRITTEN))}")
    return convert(key, tensor, dtype).cpu().contiguous()


def convert(key: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """A weight in another type. Raises `ValueError` where it isn't finite in it."""
    converted = tensor.detach().to(dtype)
    if converted.isfinite().all():
        return converted
    if tensor.isfinite().all():
        raise ValueError(f"{key} is too large for {dtype}: choose torch.bfloat16 or torch.float32")
    raise ValueError(f"{key} holds values that aren't finite: its weights are broken, use others")
