"""From TOML and `--set section.key=value` to a configuration, or an error that names the key."""

from __future__ import annotations

import tomllib
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from .config import Config, ConfigError

T = TypeVar("T")


def load_config(path: Path, settings: list[str]) -> Config:
    """Read a TOML file and lay `section.key=value` settings over it.

    Raises ConfigError on text that is no TOML, an unknown key, and a value of another type.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is no TOML file: {error}") from None
    for setting in settings:
        override(table, setting)
    return build(Config, table)


def override(table: dict[str, Any], setting: str) -> None:
    """Put one `section.key=value` into a table; the value is TOML, or else a plain text."""
    name, equals, text = setting.partition("=")
    if not equals:
        raise ConfigError(f"--set got {setting!r}; write it as section.key=value")
    *sections, key = name.split(".")
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set got {name}; {section} is no section: set it as a whole")
    try:
        table[key] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        table[key] = text


def build(cls: type[T], table: dict[str, Any], where: str = "") -> T:
    """Make a dataclass of a table; `where` names the place in error messages."""
    known = [entry.name for entry in fields(cls)]  # pyright: ignore[reportArgumentType]
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise ConfigError(f"unknown key {where}{unknown[0]}; the keys here are {', '.join(known)}")
    hints = get_type_hints(cls)
    values = {name: convert(hints[name], value, where + name) for name, value in table.items()}
    try:
        return cls(**values)
    except TypeError as error:
        raise ConfigError(f"{where or 'the configuration'}: {error}") from None


def convert(hint: Any, value: Any, where: str) -> Any:
    """One value as its field's type wants it: lists become tuples, tables dataclasses."""
    if is_dataclass(hint) and isinstance(value, dict):
        return build(hint, value, where + ".")  # pyright: ignore[reportArgumentType]
    if get_origin(hint) is tuple and isinstance(value, list):
        kinds = get_args(hint)
        kinds = kinds[:1] * len(value) if kinds[-1] is Ellipsis else kinds
        if len(kinds) != len(value):
            raise ConfigError(f"{where} has {len(value)} values; it takes {len(kinds)}")
        return tuple(convert(kind, item, where) for kind, item in zip(kinds, value, strict=True))
    if get_origin(hint) is dict and isinstance(value, dict):
        kind = get_args(hint)[1]
        return {key: convert(kind, item, f"{where}.{key}") for key, item in value.items()}
    if hint is float and type(value) is int:
        return float(value)
    if hint is not Any and type(value) is not hint:
        kind = getattr(hint, "__name__", str(hint))
        raise ConfigError(f"{where} is {value!r}; it takes a value of type {kind}")
    return value
