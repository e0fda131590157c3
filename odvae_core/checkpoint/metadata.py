"""The metadata of a checkpoint: the configuration and its source, in the header or in a tensor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .. import limits
from ..config import to_dict
from ..files.jsonfile import parse_fields
from ..formats import CONFIG_KEY
from ..vae import VideoVAE
from ..version import read_version

FORMAT = 1
"""The version of the metadata; raised by a change that older versions can't read."""


def describe_vae(vae: VideoVAE) -> dict[str, str]:
    """The metadata of a VAE's checkpoint."""
    return {
        "format": str(FORMAT),
        "family": vae.family,
        "config": json.dumps(to_dict(vae.config)),
        "version": read_version(),
        **name_source(vae),
    }


def name_source(vae: VideoVAE) -> dict[str, str]:
    """What a VAE's weights came from, with the sha256 where it was a file."""
    if vae.provenance is not None:
        return {"source": vae.provenance.path.name, "source_sha256": vae.provenance.sha256}
    if vae.inflation is None:
        return {"source": "odvae_core.build"}
    if vae.inflation.source is None or vae.inflation.source_sha256 is None:
        return {"source": "odvae_core.inflate"}
    return {"source": vae.inflation.source.name, "source_sha256": vae.inflation.source_sha256}


def pack_metadata(vae: VideoVAE) -> Tensor:
    """The metadata of `save` as a tensor of bytes, for files that others write.

    Stored as `CONFIG_KEY` beside the weights, it tells `load` the configuration.
    """
    return pack(describe_vae(vae))


def pack(metadata: dict[str, str]) -> Tensor:
    """Metadata as a tensor of bytes."""
    return torch.frombuffer(bytearray(json.dumps(metadata).encode()), dtype=torch.uint8)


def read_metadata(metadata: Mapping[str, str]) -> tuple[dict[str, Any], str]:
    """The fields of the configuration in the metadata of one of our own files, and the family.

    Raises `ValueError`.
    """
    number = metadata["format"]
    if len(number) > limits.NUMBER_CHARACTERS or int(number) > FORMAT:
        raise ValueError(
            f"it has format {number[:20]}, written by odvae {metadata.get('version', '?')[:20]}; "
            f"this version reads up to {FORMAT}: update odvae"
        )
    if not {"config", "family"} <= set(metadata):
        raise ValueError("its metadata has no config or no family: export it again")
    try:
        return parse_fields(metadata["config"]), metadata["family"]
    except ValueError as error:
        raise ValueError(f"its metadata's config can't be used: {error}") from error


def is_own(metadata: Mapping[str, str]) -> bool:
    """Whether metadata are those of one of our own files."""
    return metadata.get("format", "").isdecimal()


def unpack_metadata(carried: Tensor) -> dict[str, str]:
    """What `pack_metadata` packed. Raises `ValueError` on a tensor that is something else."""
    if carried.dtype != torch.uint8 or carried.ndim != 1 or carried.layout is not torch.strided:
        raise ValueError(
            f"{CONFIG_KEY} is {carried.dtype} of shape {list(carried.shape)}: it is bytes"
        )
    limits.check_count(carried.numel(), limits.CONFIG_BYTES, f"bytes in {CONFIG_KEY}")
    fields = parse_fields(carried.cpu().numpy().tobytes())
    if not all(isinstance(value, str) for value in fields.values()) or "format" not in fields:
        raise ValueError(f"{CONFIG_KEY} holds no metadata of odvae: export the file again")
    return fields
