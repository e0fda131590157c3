"""Detect the network of a file's weights: from metadata, a config.json, or the keys."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from .. import limits
from ..config import NetworkConfig
from ..files.tensorfile import CheckpointError
from ..formats import find_sd_scale, infer_sd_vae, is_sd_vae, name_unsupported, to_ldm
from ..registry import FAMILIES, choose_families, family_of, read_config
from ..vae import VideoVAE
from .location import Source, read_config_file
from .metadata import is_own, read_metadata
from .mismatch import build_empty, describe_nearest, find_mismatch, name_first

OTHER_CONFIG = "the config.json beside the file belongs to other weights"
"""The assumption that is stated where a config.json doesn't match the weights."""


@dataclass(frozen=True)
class Contents:
    """What a file holds: a VAE's weights by plain names, the names of all its tensors, metadata.

    `source` is None where it is no file but a state dict.
    """

    tensors: Mapping[str, Tensor]
    names: Collection[str]
    metadata: Mapping[str, str]
    source: Source | None = None


@dataclass(frozen=True)
class Detection:
    """A configuration, an empty network of it, its weights, and what was assumed.

    `tensors` have the network's own names; `origin` says where the configuration was found.
    """

    config: NetworkConfig
    network: VideoVAE
    tensors: Mapping[str, Tensor]
    origin: str
    assumptions: tuple[str, ...] = ()


def detect_network(
    contents: Contents, family: str | None, images: bool = False, norm_groups: int = 32
) -> Detection:
    """The network that weights fit. Raises `ValueError` where there is none or no `family` one.

    `images` lets it be a 2D VAE of others, in `norm_groups` where its config.json doesn't say.
    """
    tensors, source = contents.tensors, contents.source
    if is_own(contents.metadata):
        detected = detect_by_metadata(contents)
    else:
        refuse_unsupported(tensors, images)
        if images and is_sd_vae(tensors):
            detected = detect_image_vae(contents, norm_groups)
        else:
            folder = detect_by_folder(tensors, source)
            detected = folder or detect_by_file(tensors, source, family, images)
    found = family_of(detected.config)
    if family not in (None, found):
        raise ValueError(f"it is of the family {found}, not {family}: load it as {found}")
    fault = find_mismatch(detected.network, detected.tensors)
    if fault:
        raise ValueError(
            f"its weights don't fit its {detected.origin} ({fault}): "
            "give the whole file, with the config.json that came with it"
        )
    return detected


def detect_by_metadata(contents: Contents) -> Detection:
    """The network that the metadata of one of our own files describe."""
    fields, family = read_metadata(contents.metadata)
    if family not in FAMILIES:
        raise ValueError(
            f"got family {family[:40]!r}; the families are {', '.join(FAMILIES)}: load a diffusion "
            "model with odvae_core.diffusion.load, and update odvae for a newer VAE"
        )
    return detect_by_fields(fields, family, "configuration in its metadata", contents.tensors)


def refuse_unsupported(tensors: Mapping[str, Tensor], images: bool) -> None:
    """Raise `ValueError` on unsupported VAEs, and on 2D ones unless wanted."""
    other = name_unsupported(tensors)
    if other:
        raise ValueError(
            f"it is the {other} VAE, which this package doesn't support: "
            "load it with the package or node made for it"
        )
    if is_sd_vae(tensors) and not images:
        raise ValueError(
            "it is a plain 2D Stable Diffusion VAE, not a video VAE: inflate it "
            "(odvae_core.inflate, `odvae inflate`, or the node Tail-Inflate Checkpoint)"
        )


def detect_image_vae(contents: Contents, norm_groups: int) -> Detection:
    """The architecture of a 2D VAE, its scale and shift from its config.json or its file."""
    tensors = to_ldm(contents.tensors)
    config = infer_sd_vae(tensors, norm_groups)
    fields, assumptions = read_image_fields(contents.source, config)
    if fields is not None:
        config = infer_sd_vae(tensors, fields.get("norm_num_groups", norm_groups))
    scale = find_sd_scale(fields, contents.names, config.z_channels)
    config = replace(config, latent_scale=scale.scale, latent_shift=scale.shift)
    assumptions = (*filter(None, [scale.assumption]), *assumptions)
    network = build_checked(config, tensors)
    return Detection(config, network, tensors, "architecture inferred from its keys", assumptions)


def read_image_fields(
    source: Source | None, config: NetworkConfig
) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """The config.json of a 2D VAE, or None; and what is assumed where it is of other weights."""
    if source is None or source.config is None:
        return None, ()
    try:
        fields = read_config_file(source.config)
    except CheckpointError:
        if source.is_folder:
            raise
        fields = {}
    sizes = fields.get("block_out_channels"), fields.get("latent_channels")
    if sizes == (list(config.widths), config.z_channels):
        return fields, ()
    if source.is_folder:
        raise CheckpointError(
            f"{source.config} is of other weights than {source.weights.name}: "
            "use the one that came with them"
        )
    return None, (OTHER_CONFIG,)


def detect_by_folder(tensors: Mapping[str, Tensor], source: Source | None) -> Detection | None:
    """The network that a folder's config.json describes; None where a file was given."""
    if source is None or source.config is None or not source.is_folder:
        return None
    try:
        return detect_by_fields(read_config_file(source.config), None, "config.json", tensors)
    except ValueError as error:
        raise CheckpointError(
            f"{source.config} describes no VAE of ours ({error}): "
            "use the one that came with the weights"
        ) from error


def detect_by_file(
    tensors: Mapping[str, Tensor], source: Source | None, family: str | None, images: bool
) -> Detection:
    """The network of the config.json beside a file if it matches the weights, else of the keys."""
    if not tensors:
        raise ValueError("it holds no tensors of a VAE: give a file of weights")
    assumptions: tuple[str, ...] = ()
    if source is not None and source.config is not None:
        detected = try_config(tensors, source.config, family)
        if detected is not None:
            return detected
        assumptions = (OTHER_CONFIG,)
    ours = [item for item in choose_families(family) if item.is_ours(tensors)]
    if not ours:
        raise ValueError(
            f"it holds no VAE of the families {', '.join(FAMILIES)}"
            f"{', and no 2D Stable Diffusion VAE' if images else ''}; "
            f"its {len(tensors)} keys are {name_first(tensors)}: give another file"
        )
    try:
        config, guesses = ours[0].infer(tensors)
        network = build_checked(config, tensors)
    except ValueError as error:
        raise ValueError(
            f"its architecture can't be read from its keys ({error}); "
            f"{describe_nearest(ours[0], tensors)}"
        ) from error
    return Detection(
        config, network, tensors, "architecture inferred from its keys", guesses + assumptions
    )


def try_config(tensors: Mapping[str, Tensor], config: Path, family: str | None) -> Detection | None:
    """The network that a config.json describes; None where it doesn't match the weights."""
    try:
        fields = read_config_file(config)
        detected = detect_by_fields(fields, family, "config.json beside it", tensors)
    except ValueError:
        return None
    return None if find_mismatch(detected.network, tensors) else detected


def detect_by_fields(
    fields: dict[str, Any], family: str | None, origin: str, tensors: Mapping[str, Tensor]
) -> Detection:
    """A design from the fields of a configuration, ours or published. Raises `ValueError`."""
    try:
        config = read_config(fields, family)
        return Detection(config, build_checked(config, tensors), tensors, origin)
    except (TypeError, ArithmeticError, KeyError, RuntimeError) as error:
        raise ValueError(f"no network can be built of the configuration: {error}") from error


def build_checked(config: NetworkConfig, tensors: Mapping[str, Tensor]) -> VideoVAE:
    """Build a network on meta, unless the weights are too few or too small for the configuration.

    Raises `ValueError` then: a small configuration could otherwise describe a huge network.
    """
    blocks = len(config.widths) * (2 * config.blocks + 1)
    if blocks * limits.BLOCK_TENSORS > len(tensors):
        raise ValueError(
            f"{len(config.widths)} levels of {config.blocks} blocks have more than "
            f"{blocks * limits.BLOCK_TENSORS:,} tensors, but it holds {len(tensors):,}"
        )
    largest = max(tensor.numel() for tensor in tensors.values())
    if max(config.widths) > largest:
        raise ValueError(
            f"{max(config.widths):,} channels are more than its largest tensor has numbers, "
            f"{largest:,}"
        )
    return build_empty(config)
