"""What a command has to say, for a person or for a program."""

import json
import math
from dataclasses import dataclass
from typing import Any

from .messages import write_text


@dataclass(frozen=True)
class Result:
    """`facts` go out as JSON, `lines` as text."""

    facts: dict[str, Any]
    lines: list[str]


def write_result(result: Result, as_json: bool) -> None:
    """Write to stdout, the only place where a command does."""
    if as_json:
        write_text(json.dumps(make_plain(result.facts), indent=2, allow_nan=False) + "\n")
    else:
        write_text("\n".join(result.lines) + "\n")


def make_plain(value: Any) -> Any:
    """What JSON can hold: numbers that aren't finite become "inf" or "nan", other objects text."""
    if isinstance(value, dict):
        return {str(key): make_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [make_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value if value is None or isinstance(value, str | int) else str(value)


def describe_bytes(count: int) -> str:
    """Bytes, readably."""
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
