"""Detect the network of a file's weights: from metadata, a preset, a config.json, or the keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..checkpoint.detect import OTHER_CONFIG
from ..checkpoint.location import Source, read_config_file
from ..checkpoint.metadata import is_own, read_metadata
from ..checkpoint.mismatch import find_mismatch, name_first
from ..files.tensorfile import CheckpointError
from ..scaling import describe_factors
from .config import DiffusionConfig, LatteConfig
from .families import FAMILIES, Network, build, list_presets, read_config
from .published import infer_latte, name_assumption, refuse_class, refuse_keys

BLOCK_TENSORS = 10
"""Tensors that every block has at least: weights and biases of five linear layers."""


@dataclass(frozen=True)
class Detection:
    """A configuration, an empty network of it, where it was found, and what was assumed."""

    config: DiffusionConfig
    network: Network
    origin: str
    assumptions: tuple[str, ...] = ()


def detect_network(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str], source: Source, preset: str | None
) -> Detection:
    """The network that weights fit. Raises `ValueError` where there is none, or more than one."""
    refuse_keys(tensors)
    if preset is not None:
        detected = detect_by_config(read_config(preset), f"preset {preset}, as given", tensors)
    elif is_own(metadata):
        detected = detect_by_metadata(metadata, tensors)
    else:
        detected = detect_by_file(source, tensors) or detect_by_keys(source, tensors)
    fault = find_mismatch(detected.network, tensors)
    if fault:
        raise ValueError(f"its weights don't fit its {detected.origin} ({fault}): give another")
    return detected


def detect_by_metadata(metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> Detection:
    """The network that the metadata of one of our own files describe."""
    fields, family = read_metadata(metadata)
    if family not in FAMILIES:
        raise ValueError(
            f"it is of the family {family[:40]}, no diffusion model: load it with odvae_core.load"
        )
    return detect_by_fields(fields, family, "configuration in its metadata", tensors)


def detect_by_file(source: Source, tensors: Mapping[str, Tensor]) -> Detection | None:
    """The network of a config.json; None where it is beside a file and of other weights.

    Raises `CheckpointError` on that of an unsupported model, and on a folder's that doesn't fit.
    """
    if source.config is None:
        return None
    try:
        fields = read_config_file(source.config)
    except CheckpointError:
        if source.is_folder:
            raise
        return None
    try:
        refuse_class(fields)
    except ValueError as error:
        raise CheckpointError(
            f"{source.config}: {error}; where it is of other weights, move it away"
        ) from error
    try:
        detected = detect_by_fields(fields, None, "config.json", tensors)
    except ValueError as error:
        if source.is_folder:
            raise CheckpointError(
                f"{source.config} describes no model that this package has ({error}): "
                "use the one that came with the weights"
            ) from error
        return None
    fits = source.is_folder or not find_mismatch(detected.network, tensors)
    return replace(detected, assumptions=name_assumption(fields)) if fits else None


def detect_by_keys(source: Source, tensors: Mapping[str, Tensor]) -> Detection:
    """The network that names and shapes of weights tell. Raises `ValueError`."""
    names = [name for name, family in FAMILIES.items() if family.is_ours(tensors)]
    if not names:
        raise ValueError(
            f"it holds no diffusion model of the families {', '.join(FAMILIES)}; its "
            f"{len(tensors)} keys are {name_first(tensors)}: give another file"
        )
    origin = "architecture inferred from its keys"
    assumptions = () if source.config is None else (OTHER_CONFIG,)
    if names == ["latte"]:
        config = infer_latte(tensors)
        detected = detect_by_config(config, origin, tensors)
        return Detection(
            config, detected.network, origin, assumptions + describe_assumptions(config)
        )
    presets = list_presets(names[0])
    tried = {name: detect_by_config(config, origin, tensors) for name, config in presets.items()}
    fitting = [name for name, one in tried.items() if not find_mismatch(one.network, tensors)]
    if len(fitting) == 1:
        found = tried[fitting[0]]
        return Detection(found.config, found.network, origin, assumptions)
    if fitting:
        raise ValueError(
            f"its weights fit {', '.join(fitting)}, which differ in how positions are computed "
            "and not in the weights: choose the preset that it is, or put the config.json that "
            "came with it beside it"
        )
    first = next(iter(tried.values()))
    raise ValueError(
        f"it is no released {names[0]} ({find_mismatch(first.network, tensors)}): "
        "put the config.json that came with it beside it"
    )


def describe_assumptions(config: LatteConfig) -> tuple[str, ...]:
    """What the weights of a Latte can't tell."""
    latents = f"its latents are of a VAE with the scale {describe_factors(config.latent_scale)}"
    if config.classes is None:
        return (latents,)
    return latents, f"it has {config.classes} classes and after them the label of none"


def detect_by_fields(
    fields: dict[str, Any], family: str | None, origin: str, tensors: Mapping[str, Tensor]
) -> Detection:
    """A network from the fields of a configuration, ours or published. Raises `ValueError`."""
    try:
        return detect_by_config(read_config(fields, family), origin, tensors)
    except (TypeError, ArithmeticError, KeyError, RuntimeError) as error:
        raise ValueError(f"no network can be built of the configuration: {error}") from error


def detect_by_config(
    config: DiffusionConfig, origin: str, tensors: Mapping[str, Tensor]
) -> Detection:
    """The empty network of a configuration.

    Raises `ValueError` where it is far larger than the weights: a small configuration could
    otherwise describe a huge network.
    """
    if config.layers * BLOCK_TENSORS > len(tensors):
        raise ValueError(
            f"{config.layers:,} layers have more than {config.layers * BLOCK_TENSORS:,} tensors, "
            f"but it holds {len(tensors):,}"
        )
    largest = max(tensor.numel() for tensor in tensors.values())
    if config.width > largest:
        raise ValueError(
            f"a width of {config.width:,} is more than its largest tensor has numbers, {largest:,}"
        )
    with torch.device("meta"):
        return Detection(config, build(config), origin)
