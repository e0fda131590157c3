"""The files of a checkpoint: the weights, and the config.json that belongs to them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from itertools import islice
from pathlib import Path
from typing import Any

from .. import limits
from ..files.jsonfile import read_fields
from ..files.tensorfile import CheckpointError
from ..formats import order_weights
from .mismatch import name_first

PACKAGE = __name__.removesuffix(".checkpoint.location")
"""`odvae_core`, under whatever name it was imported."""


@dataclass(frozen=True)
class Source:
    """The files of a checkpoint; a folder's config.json is binding, one beside a file is not."""

    weights: Path
    config: Path | None
    is_folder: bool


def locate(path: str | Path) -> Source:
    """The files of a checkpoint; "default" is the embedded one. Raises `CheckpointError`."""
    if path == "default":
        file = Path(str(resources.files(PACKAGE) / "weights" / "default.safetensors"))
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
    names = list_folder(folder)
    for suffix in order_weights(read_config_file(config)):
        files = [name for name in names if name.endswith(suffix)]
        if len(files) > 1:
            raise CheckpointError(
                f"{folder} holds several weights ({name_first(files)}): give one of them"
            )
        if files:
            return Source(folder / files[0], config, True)
    raise CheckpointError(f"{folder} holds a config.json but no weights: download those too")


def list_folder(folder: Path) -> list[str]:
    """The names in a folder, sorted. Raises `CheckpointError` where there are too many."""
    try:
        names = [path.name for path in islice(folder.iterdir(), limits.FOLDER_FILES + 1)]
        limits.check_count(len(names), limits.FOLDER_FILES, "files or more")
    except OSError as error:
        raise CheckpointError(f"{folder} can't be read ({error.strerror}): check it") from error
    except ValueError as error:
        raise CheckpointError(f"{folder}: {error}, or the weights file itself") from error
    return sorted(names)


def read_config_file(config: Path) -> dict[str, Any]:
    """The fields of a config.json. Raises `CheckpointError`."""
    try:
        return read_fields(config)
    except OSError as error:
        raise CheckpointError(f"{config} can't be read ({error.strerror}): check it") from error
    except ValueError as error:
        raise CheckpointError(f"{config}: {error}") from error
