"""Filename prefixes: ComfyUI's placeholders filled in, and no file outside the given folder."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import folder_paths

PLACEHOLDER = re.compile(r"%([^%]+)%")
DATE_PART = re.compile("yyyy|yy|MM?|dd?|hh?|mm?|ss?")
UNFIT = re.compile(r'[/?<>\\:*|"\x00-\x1f\x7f]')
"""What ComfyUI's page replaces in an input's value before it becomes part of a filename."""


def fill_prefix(
    prefix: str, prompt: dict[str, Any] | None = None, extra: dict[str, Any] | None = None
) -> str:
    """The prefix with %date:yyyy-MM-dd% and %Node.input% filled in.

    ComfyUI's page does so for its own nodes only, and does nothing for a prompt sent to the API.
    `prompt` and `extra` are the hidden inputs of a node. A placeholder that names no input stays,
    as in ComfyUI; %width%, %year% and their like are left to `place_output`.
    """
    moment = datetime.now().astimezone()

    def fill(match: re.Match[str]) -> str:
        if match[1].startswith("date:"):
            return format_date(match[1].removeprefix("date:"), moment)
        node, _, name = match[1].partition(".")
        value = find_node(node, prompt or {}, extra or {}).get("inputs", {}).get(name)
        linked = isinstance(value, list)
        return match[0] if value is None or linked else UNFIT.sub("_", spell_value(value))

    return PLACEHOLDER.sub(fill, prefix)


def format_date(pattern: str, moment: datetime) -> str:
    """The moment in ComfyUI's notation: yyyy-MM-dd hh:mm:ss, one letter for no leading zero."""
    numbers = {"M": moment.month, "d": moment.day}
    numbers |= {"h": moment.hour, "m": moment.minute, "s": moment.second}

    def fill(match: re.Match[str]) -> str:
        part = match[0]
        if part[0] == "y":
            return f"{moment.year:04}"[-len(part) :]
        return f"{numbers[part[0]]:0{len(part)}}"

    return DATE_PART.sub(fill, pattern)


def find_node(name: str, prompt: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    """The first node with this "Node name for S&R", its type where it has none, else with this
    title; empty where there is none."""
    drawn = (extra.get("workflow") or {}).get("nodes", [])
    properties = {str(node.get("id")): node.get("properties") or {} for node in drawn}
    for number, node in prompt.items():
        if properties.get(number, {}).get("Node name for S&R", node.get("class_type")) == name:
            return node
    titled = (node for node in prompt.values() if node.get("_meta", {}).get("title") == name)
    return next(titled, {})


def spell_value(value: Any) -> str:
    """A widget's value as the page writes it: 8.0 as 8, True as true."""
    if isinstance(value, float):
        return f"{value:.15g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def check_prefix(prefix: str, base: Path) -> None:
    """Raise `ValueError` unless the prefix, filled in, names a file under `base`."""
    target = base / prefix
    inside = target.resolve().is_relative_to(base.resolve()) and not Path(prefix).is_absolute()
    if not inside or "\\" in prefix or ":" in prefix or not Path(prefix).name or prefix[-1] == "/":
        raise ValueError(
            f"got filename_prefix {prefix!r}; it names a file within ComfyUI's output folder, as "
            "in video/clip or %date:yyyy-MM-dd%/clip: leave out drives and colons, backslashes, "
            "'..' and a leading or last '/'"
        )


def place_output(
    prefix: str, suffix: str, base: Path, size: tuple[int, int] = (0, 0), numbered: bool = True
) -> Path:
    """A new file `prefix_00001_suffix` under `base`, numbered as ComfyUI numbers, or exactly
    `prefix` and `suffix`; its folder is made.

    `size` is the (width, height) for %width% and %height%. Raises `ValueError` where the prefix
    leads out of `base`, by `..`, an absolute path or a link.
    """
    check_prefix(prefix, base)
    folder, name, count, _, _ = folder_paths.get_save_image_path(prefix, str(base), *size)
    return Path(folder) / f"{name}{f'_{count:05}_' if numbered else ''}{suffix}"
