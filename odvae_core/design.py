"""Which network a checkpoint's weights belong to: from its metadata, its config.json, or the weights themselves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .build import FAMILIES, choose_families, family_of, read_config
from .published import is_sd_vae, name_stranger, order_weights
from .tensorfile import CheckpointError
from .vae import VideoVAE

FORMAT = 1
"""Of our own files; a change that older versions can't read raises it."""

SHOWN = 5
"""Keys that a message names before it only counts."""


@dataclass(frozen=True)
class Source:
    """The files of a checkpoint; the config.json of a folder is binding, one beside a file is not."""

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
    """The files of a checkpoint: of a folder, the weights that the authors' own loader takes.

    "default" is the embedded one. Raises `CheckpointError`.
    """
    if path == "default":
        file = Path(str(resources.files(__package__) / "weights" / "default.safetensors"))
        if not file.is_file():
            raise CheckpointError(f"the default weights are missing ({file}): install odvae again")
        return Source(file, None, False)
    path = Path(path)
    if path.is_dir():
        return locate_in_folder(path)
    config = path.parent / "config.json"
    return Source(path, config if config.is_file() else None, False)


def locate_in_folder(folder: Path) -> Source:
    """The config.json of a folder and the one file of weights that goes with it."""
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
    """The fields of a config.json."""
    try:
        fields = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{config} is no JSON ({error}): download it again") from error
    if not isinstance(fields, dict):
        raise CheckpointError(f"{config} holds no fields: download it again")
    return fields


def find_design(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str], source: Source, family: str | None
) -> Design:
    """The network that weights belong to. Raises `ValueError` where it is none of `family`, or of ours."""
    choose_families(family)
    if metadata.get("format", "").isdigit():
        design = design_of_metadata(metadata)
    else:
        refuse_strangers(tensors)
        design = (
            design_of_folder(source)
            if source.is_folder
            else design_of_file(tensors, source, family)
        )
    found = family_of(design.config)
    if family not in (None, found):
        raise CheckpointError(f"it is of the family {found}, not {family}: load it as {found}")
    return design


def design_of_metadata(metadata: Mapping[str, str]) -> Design:
    """What one of our own files says of itself."""
    if int(metadata["format"]) > FORMAT:
        raise CheckpointError(
            f"it has format {metadata['format']}, written by odvae {metadata.get('version', '?')}; "
            f"this version reads up to {FORMAT}: update odvae"
        )
    try:
        fields = json.loads(metadata["config"])
        return make_design(fields, metadata["family"], "configuration in its metadata")
    except KeyError as error:
        raise CheckpointError(f"its metadata has no {error}: export it again") from error


def design_of_folder(source: Source) -> Design:
    """What the config.json of a folder says."""
    assert source.config is not None
    with_path = f"{source.config} describes no VAE of ours"
    try:
        return make_design(read_fields(source.config), None, "config.json")
    except ValueError as error:
        raise CheckpointError(
            f"{with_path} ({error}): use the one that came with the weights"
        ) from error


def design_of_file(tensors: Mapping[str, Tensor], source: Source, family: str | None) -> Design:
    """What the config.json beside a file says if it fits the weights, else what the weights say."""
    ignored: tuple[str, ...] = ()
    if source.config is not None:
        try:
            design = make_design(read_fields(source.config), family, "config.json beside it")
            fault = find_mismatch(design.network, tensors)
        except ValueError as error:
            fault = str(error)
        else:
            if not fault:
                return design
        ignored = ("the config.json beside the file belongs to other weights",)
    for item in choose_families(family):
        if item.is_ours(tensors):
            config, assumptions = item.infer(tensors)
            network = build_empty(config)
            return Design(config, network, "wiring read from the keys", assumptions + ignored)
    raise CheckpointError(
        f"it holds no VAE of {', '.join(FAMILIES) if family is None else family} "
        f"({len(tensors)} keys: {name_first(tensors)}): give another file"
    )


def refuse_strangers(tensors: Mapping[str, Tensor]) -> None:
    """Raise `CheckpointError` on other VAEs, with what to do."""
    stranger = name_stranger(tensors)
    if stranger:
        raise CheckpointError(
            f"it is a {stranger} VAE, which is another design: load it with the node or package made for it"
        )
    if is_sd_vae(tensors):
        raise CheckpointError(
            "it is a plain 2D Stable Diffusion VAE, not a video VAE: inflate it "
            "(odvae_core.inflate, `odvae inflate`, or the node Tail-Inflate Checkpoint)"
        )


def make_design(fields: Any, family: str | None, origin: str) -> Design:
    """A design from the fields of a configuration, ours or published."""
    if not isinstance(fields, dict):
        raise ValueError(f"got a configuration that is no dict: {fields!r}")
    try:
        config = read_config(fields, family)
        return Design(config, build_empty(config), origin)
    except (TypeError, ArithmeticError, RuntimeError) as error:
        raise ValueError(f"no network can be built of this configuration: {error}") from error


def build_empty(config: Any) -> VideoVAE:
    """A network without memory for its weights."""
    with torch.device("meta"):
        return FAMILIES[family_of(config)].network(config)


def find_mismatch(network: VideoVAE, tensors: Mapping[str, Tensor]) -> str:
    """How weights differ from what a network takes, in words; "" where they fit."""
    expected = network.state_dict()
    missing = [key for key in expected if key not in tensors]
    unexpected = [key for key in tensors if key not in expected]
    faults = []
    if missing:
        faults.append(f"{len(missing)} keys are missing: {name_first(missing)}")
    if unexpected:
        faults.append(f"{len(unexpected)} keys are unexpected: {name_first(unexpected)}")
    shapes = [
        f"{key} is {list(tensors[key].shape)}, not {list(value.shape)}"
        for key, value in expected.items()
        if key in tensors and tensors[key].shape != value.shape
    ]
    if shapes:
        faults.append(f"{len(shapes)} shapes differ: {name_first(shapes)}")
    return "; ".join(faults)


def name_first(names: Any) -> str:
    """The first five names of many."""
    names = list(names)
    return ", ".join(names[:SHOWN]) + (" ..." if len(names) > SHOWN else "")
