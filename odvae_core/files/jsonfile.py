"""JSON from untrusted files: bounded, no duplicate names, finite numbers only."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from .. import limits

STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
BRACKET = re.compile(r"[\[\]{}]")


def parse_fields(text: str | bytes, most: int = limits.CONFIG_BYTES) -> dict[str, Any]:
    """The fields of a JSON object of at most so many bytes. Raises `ValueError`.

    Duplicate names, which JSON leaves undefined, are an error.
    """
    limits.check_count(len(text), most, "bytes of JSON")
    try:
        decoded = text if isinstance(text, str) else text.decode("utf-8")
        check_depth(decoded)
        fields = json.loads(decoded, object_pairs_hook=name_once, parse_constant=refuse_constant)
    except ValueError as error:
        raise ValueError(f"it is no JSON ({error}): download or export it again") from error
    if not isinstance(fields, dict):
        raise ValueError("it holds no fields: download or export it again")
    return fields


def read_fields(path: Path) -> dict[str, Any]:
    """The fields of a JSON file. Raises `ValueError`, and `OSError` where it can't be read."""
    limits.check_regular_file(path)
    with path.open("rb") as file:
        return parse_fields(file.read(limits.CONFIG_BYTES + 1))


def check_depth(text: str) -> None:
    """Raise `ValueError` where lists and objects are nested too deeply."""
    depth = 0
    for bracket in BRACKET.findall(STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > limits.JSON_DEPTH:
            raise ValueError(f"more than {limits.JSON_DEPTH} nested lists and objects")


def name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The pairs as a dict. Raises `ValueError` where a name comes twice."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in fields if names.count(name) > 1)
        raise ValueError(f"the name {twice[:40]!r} comes twice")
    return fields


def refuse_constant(word: str) -> float:
    """Raise `ValueError` on NaN and Infinity, which Python accepts but JSON doesn't have."""
    raise ValueError(f"{word} is not a JSON number")
