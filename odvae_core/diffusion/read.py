"""Diffusion transformers in and out: published files, and safetensors that explain themselves."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from ..checkpoint.location import locate
from ..checkpoint.metadata import FORMAT, pack, unpack_metadata
from ..checkpoint.read import check_arguments, fill, find_dtype
from ..checkpoint.write import check_metadata, write_weights
from ..files.tensorfile import hash_file, naming, read_tensor_file
from ..formats import CONFIG_KEY
from ..provenance import Provenance
from ..version import read_version
from .detect import detect_network
from .families import Network, name_preset
from .published import select_section

log = logging.getLogger(__name__)


def load(
    path: str | Path,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    *,
    preset: str | None = None,
) -> Network:
    """A diffusion transformer from a published file or folder, or from one of `save`.

    It is frozen, in eval mode, in `dtype` (None: float32, whatever the file holds) on `device`
    (None: the CPU); its `provenance` says what was found and assumed. Of a file with averaged (EMA)
    weights those are taken. Open-Sora-Plan's weights alone don't tell which release they are: the
    config.json beside them does, or `preset` (`list_presets`), which replaces any configuration.
    Raises `CheckpointError` on a bad file, with what to do, and `ValueError` on a bad argument.
    """
    check_arguments(dtype, "ema", None)
    source = locate(Path(path))
    with naming(source.weights):
        content = read_tensor_file(source.weights)
        tensors, section = select_section(content.tensors)
        carried = tensors.pop(CONFIG_KEY, None)
        metadata = content.metadata if carried is None else unpack_metadata(carried)
        detected = detect_network(tensors, metadata, source, preset)
        stored = find_dtype(tensors)
        fill(detected.network, tensors, dtype or torch.float32, device)
    network = detected.network.requires_grad_(False).eval()
    layout = ", ".join(filter(None, (content.kind, section, detected.origin)))
    network.provenance = Provenance(
        source.weights,
        hash_file(source.weights),
        layout,
        network.family,
        name_preset(detected.config),
        sum(weight.numel() for weight in network.parameters()),
        stored,
        detected.assumptions,
        metadata,
    )
    log.info("loaded %s", network.provenance.describe().replace("\n", "; "))
    return network


def save(
    network: Network, path: str | Path, dtype: torch.dtype | None = None, **metadata: str
) -> None:
    """Write a transformer as safetensors with its configuration: whole, or not at all.

    `dtype` is float32, float16 or bfloat16 (None: the network's own). `metadata` is kept beside the
    configuration. Raises `CheckpointError` on weights that aren't finite or a file that can't be
    written, and `ValueError` on bad metadata.
    """
    check_metadata(metadata)
    write_weights(network, Path(path), dtype, describe_network(network) | metadata)


def describe_network(network: Network) -> dict[str, str]:
    """The metadata of a transformer's file."""
    described = {
        "format": str(FORMAT),
        "family": network.family,
        "config": json.dumps(asdict(network.config)),
        "version": read_version(),
    }
    if network.provenance is None:
        return {**described, "source": "odvae_core.diffusion.build"}
    origin = network.provenance
    return {**described, "source": origin.path.name, "source_sha256": origin.sha256}


def pack_metadata(network: Network) -> Tensor:
    """The metadata of `save` as a tensor of bytes, for files that others write.

    Stored as `odvae_config` beside the weights, it tells `load` the configuration.
    """
    return pack(describe_network(network))
