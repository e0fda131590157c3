"""Configurations: frozen dataclasses that go to JSON and back; an unknown field is an error."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar, get_args, get_type_hints

T = TypeVar("T")


def to_dict(config: Any) -> dict[str, Any]:
    """The fields of a configuration as plain values."""
    return dataclasses.asdict(config)


def from_dict(cls: type[T], fields: dict[str, Any]) -> T:
    """Build a configuration from what `to_dict` gave, lists and nested configurations included.

    Raises `ValueError` on a field that the configuration doesn't have, or misses.
    """
    known = {field.name: field for field in dataclasses.fields(cls)}  # pyright: ignore[reportArgumentType]
    unknown = sorted(set(fields) - set(known))
    if unknown:
        raise ValueError(
            f"{cls.__name__} has no field {', '.join(unknown)}; its fields are {', '.join(known)}"
        )
    hints = get_type_hints(cls)
    values = {name: _value(hints[name], value) for name, value in fields.items()}
    try:
        return cls(**values)
    except TypeError as error:
        raise ValueError(f"{cls.__name__} can't be built: {error}") from None


def _value(hint: Any, value: Any) -> Any:
    """JSON knows no tuples and no dataclasses: turn lists and dicts back."""
    if not isinstance(value, list | tuple):
        return value
    inner = get_args(hint)[0]
    if dataclasses.is_dataclass(inner):
        return tuple(from_dict(inner, item) for item in value)  # pyright: ignore[reportArgumentType]
    return tuple(value)
