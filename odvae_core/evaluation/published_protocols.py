"""The papers' protocols, as small files: which table, which clips, how they are cut."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from ..video import ListingError
from .protocol import Protocol

FOLDER = resources.files(__package__ or __name__) / "protocols"


@dataclass(frozen=True)
class PublishedProtocol:
    """A protocol file: the `table` it stands for, the `split` of its clips, and the crops.

    `clips` are as many as the table has, None for all of the split. `assumed` says what the paper
    doesn't.
    """

    name: str
    table: str
    split: str
    crops: Mapping[str, Any]
    clips: int | None = None
    assumed: str = ""

    def describe(self) -> list[str]:
        """What the file says, as lines of text."""
        lines = [f"protocol {self.name}: {self.table}", f"clips: {self.split}"]
        return [*lines, *([f"assumed: {self.assumed}"] if self.assumed else [])]


def list_protocols() -> list[str]:
    """The names of the papers' protocols."""
    names = [item.name for item in FOLDER.iterdir()]
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


def read_protocol(name: str) -> PublishedProtocol:
    """The protocol of a name, or of a file that ends in .toml.

    Raises `ValueError` on an unknown name or field, and where a field is missing.
    """
    if name.endswith(".toml"):
        source = Path(name)
    elif name in list_protocols():
        source = FOLDER / f"{name}.toml"
    else:
        raise ValueError(
            f"got protocol {name!r}; choose one of {', '.join(list_protocols())}, or give a file "
            "that ends in .toml"
        )
    try:
        values = tomllib.loads(source.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{source}: can't be read as TOML ({error}); correct it") from error
    crops = {field.name for field in dataclasses.fields(Protocol)}
    own = {"table", "split", "clips", "assumed"}
    unknown, missing = set(values) - crops - own, {"table", "split"} - set(values)
    if unknown or missing:
        raise ValueError(
            f"{source}: unknown fields {sorted(unknown)}, missing {sorted(missing)}; its fields "
            f"are {', '.join(sorted(own | crops))}"
        )
    cut = {key: value for key, value in values.items() if key in crops}
    if "short_sides" in cut:
        cut["short_sides"] = tuple(cut["short_sides"])
    described = {key: value for key, value in values.items() if key in own}
    return PublishedProtocol(name, crops=cut, **described)


def select_listed(clips: Mapping[str, Path], listed: Path) -> dict[str, Path]:
    """The clips that a list names: one on each line, by name, path or name without its ending.

    Raises `ListingError` where it names none of them.
    """
    try:
        lines = listed.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ListingError(f"{listed}: can't be read ({error.strerror}); check the path") from error
    names = {line.split()[0] for line in lines if line.strip()}
    stems = names | {Path(name).stem for name in names}
    kept = {name: path for name, path in clips.items() if name in names or Path(name).stem in stems}
    if not kept:
        raise ListingError(f"{listed}: names none of the {len(clips)} clips; check both")
    return kept
