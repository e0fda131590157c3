"""The journal of an evaluation: one line of JSON for every clip and candidate, as they are done.

It alone serves to go on after an interruption, to split an evaluation over machines, and to merge:
the header holds all that figures depend on, and only journals of one header belong together. The
features that rFVD, KVD and the Inception Score need lie in the lines, so a line is all or nothing.
"""

from __future__ import annotations

import base64
import json
import os
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

FORMAT = 1
LONGEST = 300  # letters of a value in an error
Key = tuple[str, str | None]
"""A clip and a candidate; None for what belongs to the clip itself."""


class JournalError(ValueError):
    """A journal that can't be used: the file, what was found, what to do."""


@dataclass(frozen=True)
class Line:
    """What is known of a clip and a candidate: figures, or the reason why the clip is left out.

    `figures` and `positions` are means over `frames` frames, which took `seconds` to reconstruct;
    `features` [N, D] are those of the reconstructed crops, or the clip's own for `candidate` None.
    """

    clip: str
    candidate: str | None = None
    reason: str | None = None
    figures: dict[str, float] = field(default_factory=dict)
    sides: dict[str, float] = field(default_factory=dict)
    positions: list[float] = field(default_factory=list)
    frames: int = 0
    seconds: float = 0.0
    features: dict[str, Tensor] = field(default_factory=dict)

    def to_text(self) -> str:
        """One line of JSON; features in base64, so that all bits are kept."""
        values = vars(self) | {
            "features": {name: encode(rows) for name, rows in self.features.items()}
        }
        values["contender"] = values.pop("candidate")  # its name in the file
        return json.dumps(values, allow_nan=False)

    @classmethod
    def from_text(cls, text: str) -> Line:
        """Of what `to_text` gave."""
        values = json.loads(text)
        values["candidate"] = values.pop("contender")
        features = {name: decode(rows) for name, rows in values["features"].items()}
        return cls(**values | {"features": features})


def encode(rows: Tensor) -> dict[str, Any]:
    """Features [N, D] as JSON holds them."""
    data = rows.float().contiguous().numpy().astype("<f4").tobytes()
    return {"shape": list(rows.shape), "float32": base64.b64encode(data).decode("ascii")}


def decode(value: Mapping[str, Any]) -> Tensor:
    """Of what `encode` gave."""
    data = np.frombuffer(base64.b64decode(value["float32"]), "<f4").astype(np.float32)
    return torch.from_numpy(data).view(value["shape"])


class Journal:
    """The lines of an evaluation, kept in a file too where a path is given.

    `lines`: by clip and candidate; `left_out`: the reasons by clip. An existing file is continued;
    a line that was cut off half way is dropped. Raises `JournalError` where the file belongs to
    another evaluation, or is no journal.
    """

    def __init__(self, header: Mapping[str, Any], path: Path | None = None) -> None:
        self.header, self.path = dict(header), path
        self.lines: dict[Key, Line] = {}
        self.left_out: dict[str, str] = {}
        if path is None:
            return
        if path.exists() and path.stat().st_size:
            found, lines, end = read(path)
            check_header(path, found, self.header)
            for line in lines:
                self.keep(line)
            os.truncate(path, end)
        else:
            append(path, json.dumps({"format": FORMAT, **self.header}))

    def add(self, line: Line) -> None:
        """Keep a line, on the disk before this returns."""
        if self.path is not None:
            append(self.path, line.to_text())
        self.keep(line)

    def keep(self, line: Line) -> None:
        """Keep a line in memory."""
        self.lines[line.clip, line.candidate] = line
        if line.reason:
            self.left_out[line.clip] = line.reason


def append(path: Path, text: str) -> None:
    """Add a line to a file, flushed to the disk. Raises `JournalError` where that fails."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise JournalError(
            f"{path} can't be written ({error.strerror}): check that its folder exists and has room"
        ) from error


def read(path: Path) -> tuple[dict[str, Any], list[Line], int]:
    """A journal's header, its whole lines, and the length in bytes up to the last of them."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise JournalError(f"{path} can't be read ({error.strerror}): check the path") from error
    end = data.rfind(b"\n") + 1
    texts = data[:end].decode("utf-8", "replace").splitlines()
    try:
        header = json.loads(texts[0])
        lines = [Line.from_text(text) for text in texts[1:]]
        version = header.pop("format")
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise JournalError(
            f"{path} is no journal of `odvae evaluate`, or a damaged one; give another name"
        ) from error
    if version != FORMAT:
        raise JournalError(
            f"{path} is of format {version}; this version reads {FORMAT}: evaluate again"
        )
    return header, lines, end


def check_header(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise `JournalError` where a journal belongs to another evaluation."""
    wanted = json.loads(json.dumps(wanted))
    differing = [name for name in wanted if found.get(name) != wanted[name]]
    if differing or set(found) != set(wanted):
        name = differing[0] if differing else "header"
        raise JournalError(
            f"{path} is of another evaluation, its {name} differs: {shorten(found.get(name))} "
            f"instead of {shorten(wanted.get(name))}; give another name, or the options and clips "
            "that it began with"
        )


def shorten(value: Any) -> str:
    """A value as an error shows it: a list of clips may be long."""
    return textwrap.shorten(str(value), LONGEST)


def merge(paths: Iterable[Path]) -> Journal:
    """Several journals of one evaluation as one, in memory.

    Raises `JournalError` where they aren't of one evaluation, or measured a clip twice.
    """
    merged: Journal | None = None
    origin: dict[Key, Path] = {}
    for path in paths:
        header, lines, _ = read(path)
        merged = merged or Journal(header)
        check_header(path, header, merged.header)
        for line in lines:
            key = line.clip, line.candidate
            if key in origin:
                raise JournalError(
                    f"{path} and {origin[key]} both hold {line.clip}; merge journals of different "
                    "shards, each once"
                )
            origin[key] = path
            merged.keep(line)
    if merged is None:
        raise JournalError("got no journal to merge; name one or more")
    return merged
