"""The metadata of a checkpoint: the configuration and its source, in the header or in a tensor."""

from __future__ import annotations

import json

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
    text = json.dumps(describe_vae(vae)).encode()
    return torch.frombuffer(bytearray(text), dtype=torch.uint8)


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
