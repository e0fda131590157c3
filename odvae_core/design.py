"""Which network weights belong to: from their metadata, a config.json, or their own keys."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .published import is_sd_vae, name_stranger, order_weights
from .registry import FAMILIES, Family, choose_families, family_of, read_config
from .tensorfile import CheckpointError
from .vae import VideoVAE

FORMAT = 1
"""Of our own files; a change that older versions can't read raises it."""

SHOWN = 5
"""Names that a message gives before it only counts."""


@dataclass(frozen=True)
class Source:
    """The files of a checkpoint; a folder's config.json is binding, one beside a file is not."""

    weights: Path
    config: Path | None
    is_folder: bool


@dataclass(frozen=True)
class Design:
    """A configuration, an empty network of it, where it was found, and what was assumed."""

    config: Any
    network: VideoVAE
    origin: str
    assumptions: tuple[str, ...] = ()


def locate(path: str | Path) -> Source:
    """The files of a checkpoint; "default" is the embedded one. Raises `CheckpointError`."""
    if path == "default":
        file = Path(
            str(resources.files(__package__ or "odvae_core") / "weights" / "default.safetensors")
        )
        if not file.is_file():
            raise CheckpointError(f"{file}: the default weights are missing, install odvae again")
        return Source(file, None, False)
    path = Path(path)
    if path.is_dir():
        return locate_in_folder(path)
    config = path.parent / "config.json"
    return Source(path, config if config.is_file() else None, False)


def locate_in_folder(folder: Path) -> Source:
    """The config.json of a folder, and the weights that the authors' own loader takes."""
    config = folder / "config.json"
    if not config.is_file():
        raise CheckpointError(
            f"{folder} is a folder without a config.json: give the weights file itself, "
            "or the folder that holds both"
        )
    for suffix in order_weights(read_fields(config)):
        files = sorted(folder.glob(f"*{suffix}"))
        if len(files) > 1:
            names = ", ".join(file.name for file in files)
            raise CheckpointError(f"{folder} holds several weights ({names}): give one of them")
        if files:
            return Source(files[0], config, True)
    raise CheckpointError(f"{folder} holds a config.json but no weights: download those too")


def read_fields(config: Path) -> dict[str, Any]:
    """The fields of a config.json. Raises `CheckpointError`."""
    try:
        fields = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{config} is no JSON ({error}): download it again") from error
    if not isinstance(fields, dict):
        raise CheckpointError(f"{config} holds no fields: download it again")
    return fields


def find_design(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str], source: Source, family: str | None
) -> Design:
    """The network that weights fit. Raises `ValueError` where there is none or no `family` one."""
    if metadata.get("format", "").isdecimal():
        design = design_of_metadata(metadata)
    else:
        refuse_strangers(tensors)
        design = design_of_folder(source) or design_of_file(tensors, source, family)
    found = family_of(design.config)
    if family not in (None, found):
        raise ValueError(f"it is of the family {found}, not {family}: load it as {found}")
    fault = find_mismatch(design.network, tensors)
    if fault:
        raise ValueError(
            f"its weights don't fit its {design.origin} ({fault}): "
            "give the whole file, with the config.json that came with it"
        )
    return design


def design_of_metadata(metadata: Mapping[str, str]) -> Design:
    """What one of our own files says of itself."""
    if int(metadata["format"]) > FORMAT:
        raise ValueError(
            f"it has format {metadata['format']}, written by odvae {metadata.get('version', '?')}; "
            f"this version reads up to {FORMAT}: update odvae"
        )
    if not {"config", "family"} <= set(metadata):
        raise ValueError("its metadata has no config or no family: export it again")
    try:
        fields = json.loads(metadata["config"])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its metadata's config is no JSON ({error}): export it again") from error
    return make_design(fields, metadata["family"], "configuration in its metadata")


def refuse_strangers(tensors: Mapping[str, Tensor]) -> None:
    """Raise `ValueError` on other VAEs, with what to do."""
    stranger = name_stranger(tensors)
    if stranger:
        raise ValueError(
            f"it is a {stranger} VAE, which is another design: "
            "load it with the package or node made for it"
        )
    if is_sd_vae(tensors):
        raise ValueError(
            "it is a plain 2D Stable Diffusion VAE, not a video VAE: inflate it "
            "(odvae_core.inflate, `odvae inflate`, or the node Tail-Inflate Checkpoint)"
        )


def design_of_folder(source: Source) -> Design | None:
    """What the config.json of a folder says; None where it was a file that was asked for."""
    if source.config is None or not source.is_folder:
        return None
    try:
        return make_design(read_fields(source.config), None, "config.json")
    except ValueError as error:
        raise CheckpointError(
            f"{source.config} describes no VAE of ours ({error}): "
            "use the one that came with the weights"
        ) from error


def design_of_file(tensors: Mapping[str, Tensor], source: Source, family: str | None) -> Design:
    """What the config.json beside a file says where it fits the weights, else what these say."""
    assumptions: tuple[str, ...] = ()
    if source.config is not None:
        design = try_config(tensors, source.config, family)
        if design is not None:
            return design
        assumptions = ("the config.json beside the file belongs to other weights",)
    ours = [item for item in choose_families(family) if item.is_ours(tensors)]
    if not ours:
        raise ValueError(
            f"it holds no VAE of the families {', '.join(FAMILIES)}; "
            f"its {len(tensors)} keys are {name_first(tensors)}: give another file"
        )
    try:
        config, guesses = ours[0].infer(tensors)
    except ValueError as error:
        raise ValueError(
            f"its wiring can't be read from its keys ({error}); "
            f"{describe_nearest(ours[0], tensors)}"
        ) from error
    return Design(config, build_empty(config), "wiring as its keys tell it", guesses + assumptions)


def try_config(tensors: Mapping[str, Tensor], config: Path, family: str | None) -> Design | None:
    """What a config.json says, None where it is of other weights."""
    try:
        design = make_design(read_fields(config), family, "config.json beside it")
    except ValueError:
        return None
    return None if find_mismatch(design.network, tensors) else design


def make_design(fields: Any, family: str | None, origin: str) -> Design:
    """A design from the fields of a configuration, ours or published. Raises `ValueError`."""
    if not isinstance(fields, dict):
        raise ValueError(f"got a configuration without fields: {fields!r}")
    try:
        config = read_config(fields, family)
        return Design(config, build_empty(config), origin)
    except (TypeError, ArithmeticError, RuntimeError) as error:
        raise ValueError(f"no network can be built of the configuration: {error}") from error


def build_empty(config: Any) -> VideoVAE:
    """A network without memory for its weights."""
    with torch.device("meta"):
        return FAMILIES[family_of(config)].network(config)


def find_mismatch(network: VideoVAE, tensors: Mapping[str, Tensor]) -> str:
    """How weights differ from what a network takes, in words; "" where they fit."""
    expected = network.state_dict()
    shapes = [
        f"{key} is {list(tensors[key].shape)} instead of {list(value.shape)}"
        for key, value in expected.items()
        if key in tensors and tensors[key].shape != value.shape
    ]
    faults = compare_names(expected, tensors)
    if shapes:
        faults.append(f"{len(shapes)} shapes differ: {name_first(shapes)}")
    return "; ".join(faults)


def compare_names(expected: Collection[str], given: Collection[str]) -> list[str]:
    """Which keys are missing and which are too many, in words."""
    missing = [key for key in expected if key not in given]
    unexpected = [key for key in given if key not in expected]
    rows = (("missing", missing), ("unexpected", unexpected))
    return [f"{len(keys)} keys are {word}: {name_first(keys)}" for word, keys in rows if keys]


def describe_nearest(family: Family, tensors: Collection[str]) -> str:
    """How keys differ from those of the preset that is nearest to them."""
    keys = {name: build_empty(preset).state_dict() for name, preset in family.presets.items()}
    nearest = min(keys, key=lambda name: len(set(keys[name]) ^ set(tensors)))
    return f"against {nearest} {'; '.join(compare_names(keys[nearest], tensors))}"


def name_first(names: Collection[str]) -> str:
    """The first five of many names."""
    return ", ".join(list(names)[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
