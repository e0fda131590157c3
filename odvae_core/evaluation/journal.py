"""The journal of an evaluation: one line of JSON for every clip and candidate.

With it an evaluation can be resumed, split over machines and merged. The header contains everything
on which the results depend; only journals with equal headers can be merged. A line also contains
the features for rFVD, KVD and the Inception Score, so that no other file is needed.
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
NEW_FACTS = ("vcpr_paper",)
"""Facts of candidates that journals of version 0.1.0 lack."""

MAX_SHOWN = 300  # characters of a value in an error
Key = tuple[str, str | None]
"""A clip and a candidate; None for the features of the clip itself."""


class JournalError(ValueError):
    """A journal can't be used: the text names the file, the finding and the remedy."""


@dataclass(frozen=True)
class Line:
    """The results of a candidate on a clip, or the reason why the clip is left out.

    `figures` and `positions` are means over `frames` frames, which took `seconds` to reconstruct.
    `features` [N, D] belong to the reconstructed crops, or to the clip's own for `candidate` None.
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
        """One line of JSON; features are stored exactly, in base64."""
        values = vars(self) | {
            "features": {name: encode_features(rows) for name, rows in self.features.items()}
        }
        values["contender"] = values.pop("candidate")  # the key in the file
        return json.dumps(values, allow_nan=False)

    @classmethod
    def from_text(cls, text: str) -> Line:
        """The line from the result of `to_text`."""
        values = json.loads(text)
        values["candidate"] = values.pop("contender")
        features = {name: decode_features(rows) for name, rows in values["features"].items()}
        return cls(**values | {"features": features})


def encode_features(rows: Tensor) -> dict[str, Any]:
    """Features [N, D] as a JSON value."""
    data = rows.float().contiguous().numpy().astype("<f4").tobytes()
    return {"shape": list(rows.shape), "float32": base64.b64encode(data).decode("ascii")}


def decode_features(value: Mapping[str, Any]) -> Tensor:
    """Features from the result of `encode_features`."""
    data = np.frombuffer(base64.b64decode(value["float32"]), "<f4").astype(np.float32)
    return torch.from_numpy(data).view(value["shape"])


class Journal:
    """The lines of an evaluation, in memory and, if a path is given, in a file.

    `lines`: by clip and candidate; `left_out`: reasons by clip. An existing file is continued,
    without an incomplete last line. Raises `JournalError` if the file belongs to another evaluation
    or isn't a journal.
    """

    def __init__(self, header: Mapping[str, Any], path: Path | None = None) -> None:
        self.header, self.path = dict(header), path
        self.lines: dict[Key, Line] = {}
        self.left_out: dict[str, str] = {}
        if path is None:
            return
        if path.exists() and path.stat().st_size:
            found, lines, end = read_journal(path)
            check_header(path, found, self.header)
            for line in lines:
                self.store_line(line)
            os.truncate(path, end)
        else:
            append_line(path, json.dumps({"format": FORMAT, **self.header}))

    def add(self, line: Line) -> None:
        """Add a line; it is written to the disk before this returns."""
        if self.path is not None:
            append_line(self.path, line.to_text())
        self.store_line(line)

    def store_line(self, line: Line) -> None:
        """Add a line in memory only."""
        self.lines[line.clip, line.candidate] = line
        if line.reason:
            self.left_out[line.clip] = line.reason


def append_line(path: Path, text: str) -> None:
    """Append a line to a file and flush it to the disk. Raises `JournalError`."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise JournalError(
            f"{path} can't be written ({error.strerror}): check that its folder exists and has room"
        ) from error


def read_journal(path: Path) -> tuple[dict[str, Any], list[Line], int]:
    """A journal's header, its complete lines, and the length in bytes up to the last of them."""
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
            f"{path} isn't a journal of `odvae evaluate`, or is damaged; give another name"
        ) from error
    if version != FORMAT:
        raise JournalError(
            f"{path} has format {version}; this version reads {FORMAT}: evaluate again"
        )
    return header, lines, end


def add_new_facts(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of a journal's candidates, with those that earlier versions didn't write."""
    new = {
        name: {key: facts[key] for key in NEW_FACTS if key in facts}
        for name, facts in wanted["contenders"].items()
    }
    return {name: new.get(name, {}) | facts for name, facts in found["contenders"].items()}


def check_header(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise `JournalError` if a journal belongs to another evaluation."""
    wanted = json.loads(json.dumps(wanted))
    found = {**found, "contenders": add_new_facts(found, wanted)}
    differing = [name for name in wanted if found.get(name) != wanted[name]]
    if differing or set(found) != set(wanted):
        name = differing[0] if differing else "header"
        raise JournalError(
            f"{path} belongs to another evaluation, its {name} differs: "
            f"{shorten(found.get(name))} instead of {shorten(wanted.get(name))}; give another "
            "name, or the options and clips of the first run"
        )


def shorten(value: Any) -> str:
    """A value as text for an error: a list of clips may be long."""
    return textwrap.shorten(str(value), MAX_SHOWN)


def merge_journals(paths: Iterable[Path]) -> Journal:
    """Several journals of one evaluation as one, in memory.

    Raises `JournalError` if they belong to different evaluations or measured a clip twice.
    """
    merged: Journal | None = None
    origin: dict[Key, Path] = {}
    for path in paths:
        header, lines, _ = read_journal(path)
        merged = merged or Journal(header)
        check_header(path, header, merged.header)
        for line in lines:
            key = line.clip, line.candidate
            if key in origin:
                raise JournalError(
                    f"{path} and {origin[key]} both contain {line.clip}; merge journals of "
                    "different shards, each once"
                )
            origin[key] = path
            merged.store_line(line)
    if merged is None:
        raise JournalError("got no journal to merge; name one or more")
    return merged
