"""Configurations: frozen dataclasses that go to JSON and back; an unknown field is an error."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from types import MappingProxyType, UnionType
from typing import Any, ClassVar, Protocol, TypeVar, cast, get_args, get_origin, get_type_hints

from .limits import COUNT, LIST_ITEMS
from .scaling import Factors

T = TypeVar("T")

POSITIVE = ("latent_scale",)
"""Fields that users of the latents divide by."""


class NetworkConfig(Protocol):
    """What the configuration of every family has: a frozen dataclass.

    `widths` are the channels of the levels, from fine to coarse; `blocks` the residual blocks of a
    level. Diffusion models use (latent - `latent_shift`) * `latent_scale`.
    """

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    @property
    def widths(self) -> tuple[int, ...]: ...
    @property
    def blocks(self) -> int: ...
    @property
    def z_channels(self) -> int: ...
    @property
    def latent_scale(self) -> Factors: ...
    @property
    def latent_shift(self) -> Factors: ...


def to_dict(config: NetworkConfig) -> dict[str, Any]:
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


def check_fields(part: Any, choices: Mapping[str, tuple[str, ...]] = MappingProxyType({})) -> None:
    """Raise `ValueError` where a field of a configuration has an impossible value.

    A whole number is a count, so it is 1 or more, and no more than a network could have: a crafted
    file must not fill the memory. Other numbers are finite. `choices` are the words that a field
    takes.
    """
    for name, hint in get_type_hints(part.__class__).items():
        value = getattr(part, name)
        if name in choices and value not in choices[name]:
            raise ValueError(
                f"got {name} = {value!r}; it is one of {', '.join(map(repr, choices[name]))}"
            )
        if not _fits(value, hint):
            raise ValueError(f"got {name} = {repr(value)[:40]}; it is {_describe(hint)}")
        factors = cast(tuple[float, ...], value if isinstance(value, tuple) else (value,))
        if name in POSITIVE and min(factors) <= 0:
            raise ValueError(f"got {name} = {value!r}; it is a number above 0")


def _fits(value: Any, hint: Any) -> bool:
    if get_origin(hint) is UnionType:
        return any(_fits(value, kind) for kind in get_args(hint))
    if get_origin(hint) is tuple:
        inner = get_args(hint)[0]
        filled = bool(value) or not dataclasses.is_dataclass(inner)
        if not isinstance(value, tuple):
            return False
        items = cast(tuple[Any, ...], value)
        return filled and len(items) <= LIST_ITEMS and all(_fits(item, inner) for item in items)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= COUNT
    if hint is float:
        return is_number(value)
    return isinstance(value, hint)


def is_number(value: Any) -> bool:
    """Whether a value is a finite number: no bool, and no integer beyond the range of floats."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e30 and math.isfinite(value)


def _describe(hint: Any) -> str:
    if get_origin(hint) is UnionType:
        return " or ".join(map(_describe, get_args(hint)))
    if get_origin(hint) is tuple:
        inner = get_args(hint)[0]
        if dataclasses.is_dataclass(inner):
            return f"a list of at least one {inner.__name__} and at most {LIST_ITEMS}"  # pyright: ignore
        return f"a list, each item {_describe(inner)}, at most {LIST_ITEMS}"
    words = {
        int: f"a whole number from 1 to {COUNT}",
        float: "a finite number",
        str: "a word",
        bool: "true or false",
        type(None): "none",
    }
    return words[hint]


def _value(hint: Any, value: Any) -> Any:
    """Convert JSON's lists and dicts back to tuples and dataclasses."""
    if get_origin(hint) is UnionType:
        hint = next((kind for kind in get_args(hint) if get_origin(kind) is tuple), hint)
    if get_origin(hint) is not tuple or not isinstance(value, list | tuple):
        return value
    inner, items = get_args(hint)[0], cast(list[Any], value)
    if not dataclasses.is_dataclass(inner):
        return tuple(items)
    return tuple(from_dict(inner, item) if isinstance(item, dict) else item for item in items)  # pyright: ignore
