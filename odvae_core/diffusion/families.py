"""The families of diffusion transformers: from a preset's name or a configuration to a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..config import from_dict
from ..registry import field_names
from . import presets, published
from .config import DiffusionConfig, LatteConfig, LatteT2VConfig, OpenSoraT2VConfig
from .latte import Latte
from .latte_t2v import LatteT2V
from .opensora_t2v import OpenSoraT2V

Network = LatteT2V | OpenSoraT2V | Latte


@dataclass(frozen=True)
class Family:
    """A family: its network and presets, and the functions that recognise its files.

    `marker` is a field that only a published configuration has.
    """

    network: Callable[[Any], Network]
    config: type[DiffusionConfig]
    presets: Mapping[str, DiffusionConfig]
    marker: str
    from_published: Callable[[Mapping[str, Any]], DiffusionConfig]
    is_ours: Callable[[Mapping[str, Tensor]], bool]


FAMILIES = {
    "latte_t2v": Family(
        LatteT2V,
        LatteT2VConfig,
        presets.LATTE_T2V,
        "video_length",
        published.latte_t2v_from_published,
        published.is_latte_t2v,
    ),
    "opensora_t2v": Family(
        OpenSoraT2V,
        OpenSoraT2VConfig,
        presets.OPENSORA_T2V,
        "sample_size_t",
        published.opensora_t2v_from_published,
        published.is_opensora_t2v,
    ),
    "latte": Family(
        Latte,
        LatteConfig,
        presets.LATTE,
        "input_size",
        published.latte_from_published,
        published.is_latte,
    ),
}
"""The one table of families."""


def build(config: str | Mapping[str, Any] | DiffusionConfig, family: str | None = None) -> Network:
    """A transformer with random weights that can be trained.

    `config` is a preset's name, a configuration, or a dict: of ours, or of the authors' fields.
    `family` is "latte_t2v", "opensora_t2v" or "latte"; of our own dicts it must be given. Raises
    `ValueError` on an unknown name or field.
    """
    config = read_config(config, family)
    return FAMILIES[family_of(config)].network(config)


def read_config(
    config: str | Mapping[str, Any] | DiffusionConfig, family: str | None = None
) -> DiffusionConfig:
    """The configuration of a preset's name, a dict or a configuration."""
    families = choose_families(family)
    if isinstance(config, str):
        known = list_presets(family)
        if config not in known:
            raise ValueError(f"got preset {config!r}; the presets are {', '.join(known)}")
        return known[config]
    if isinstance(config, tuple(item.config for item in families)):
        return config
    if not isinstance(config, Mapping):
        raise ValueError(
            f"got a configuration of type {type(config).__name__}; give a preset's name, a dict, "
            f"or {' or '.join(item.config.__name__ for item in families)}"
        )
    published.refuse_class(config)
    for item in families:
        if item.marker in config:
            return item.from_published(config)
    nearest = max(families, key=lambda item: len(field_names(item.config) & set(config)))
    return from_dict(nearest.config, dict(config))


def list_presets(family: str | None = None) -> dict[str, DiffusionConfig]:
    """The presets of one family, or of all."""
    families = choose_families(family)
    return {name: preset for item in families for name, preset in item.presets.items()}


def choose_families(name: str | None) -> list[Family]:
    """The named family, or all. Raises `ValueError` on an unknown name."""
    if name is None:
        return list(FAMILIES.values())
    if name not in FAMILIES:
        raise ValueError(f"got family {name!r}; the families are {', '.join(FAMILIES)}")
    return [FAMILIES[name]]


def family_of(config: DiffusionConfig) -> str:
    """The name of the family that a configuration belongs to."""
    return next(name for name, family in FAMILIES.items() if isinstance(config, family.config))


def name_preset(config: DiffusionConfig) -> str | None:
    """The preset that equals a configuration, if one does."""
    presets = FAMILIES[family_of(config)].presets
    return next((name for name, preset in presets.items() if preset == config), None)
