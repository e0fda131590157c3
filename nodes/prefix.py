"""Filename prefixes: fills in ComfyUI's placeholders and rejects paths outside a folder."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import folder_paths

PLACEHOLDER = re.compile(r"%([^%]+)%")
DATE_PART = re.compile("yyyy|yy|MM?|dd?|hh?|mm?|ss?")
FORBIDDEN = re.compile(r'[/?<>\\:*|"\x00-\x1f\x7f]')
"""Characters that ComfyUI's page replaces in an input's value for a filename."""


def fill_prefix(
    prefix: str, prompt: dict[str, Any] | None = None, extra: dict[str, Any] | None = None
) -> str:
    """The prefix with %date:yyyy-MM-dd% and %Node.input% filled in.

    ComfyUI's page fills them in for its own nodes only, and not for prompts sent to the API.
    `prompt` and `extra` are the hidden inputs of a node. A placeholder that names no input is kept,
    as in ComfyUI. `make_output_path` fills in %width%, %height%, %year%, ....
    """
    moment = datetime.now().astimezone()

    def fill(match: re.Match[str]) -> str:
        if match[1].startswith("date:"):
            return format_date(match[1].removeprefix("date:"), moment)
        node, _, name = match[1].partition(".")
        value = find_node(node, prompt or {}, extra or {}).get("inputs", {}).get(name)
        linked = isinstance(value, list)
        return match[0] if value is None or linked else FORBIDDEN.sub("_", format_value(value))

    return PLACEHOLDER.sub(fill, prefix)


def format_date(pattern: str, moment: datetime) -> str:
    """The date and time in ComfyUI's notation: yyyy-MM-dd hh:mm:ss; one letter for no leading
    zero."""
    numbers = {"M": moment.month, "d": moment.day}
    numbers |= {"h": moment.hour, "m": moment.minute, "s": moment.second}

    def fill(match: re.Match[str]) -> str:
        part = match[0]
        if part[0] == "y":
            return f"{moment.year:04}"[-len(part) :]
        return f"{numbers[part[0]]:0{len(part)}}"

    return DATE_PART.sub(fill, pattern)


def find_node(name: str, prompt: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    """The first node with this "Node name for S&R", or with this type if it has none, else the
    first with this title; an empty dict if there is none."""
    drawn = (extra.get("workflow") or {}).get("nodes", [])
    properties = {str(node.get("id")): node.get("properties") or {} for node in drawn}
    for number, node in prompt.items():
        if properties.get(number, {}).get("Node name for S&R", node.get("class_type")) == name:
            return node
    titled = (node for node in prompt.values() if node.get("_meta", {}).get("title") == name)
    return next(titled, {})


def format_value(value: Any) -> str:
    """A widget's value as ComfyUI's page formats it: 8.0 as 8, True as true."""
    if isinstance(value, float):
        return f"{value:.15g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def check_prefix(prefix: str, base: Path) -> None:
    """Raise `ValueError` unless the filled-in prefix names a file under `base`."""
    target = base / prefix
    inside = target.resolve().is_relative_to(base.resolve()) and not Path(prefix).is_absolute()
    if not inside or "\\" in prefix or ":" in prefix or not Path(prefix).name or prefix[-1] == "/":
        raise ValueError(
            f"got filename_prefix {prefix!r}; it names a file within ComfyUI's output folder, as "
            "in video/clip or %date:yyyy-MM-dd%/clip: leave out drives and colons, backslashes, "
            "'..' and a leading or last '/'"
        )


def make_output_path(
    prefix: str, suffix: str, base: Path, size: tuple[int, int] = (0, 0), numbered: bool = True
) -> Path:
    """The path of a new file under `base`: `prefix_00001_suffix` with ComfyUI's next number, or,
    if not `numbered`, `prefix` and `suffix` alone. Its folder is created.

    `size` is the (width, height) for %width% and %height%. Raises `ValueError` if the prefix leads
    out of `base` through `..`, an absolute path or a link.
    """
    check_prefix(prefix, base)
    folder, name, count, _, _ = folder_paths.get_save_image_path(prefix, str(base), *size)
    return Path(folder) / f"{name}{f'_{count:05}_' if numbered else ''}{suffix}"
