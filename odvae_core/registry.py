"""The families of VAEs: from a preset's name or a configuration to a network."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from .config import NetworkConfig, from_dict
from .families import (
    cvvae_config,
    hunyuan15_config,
    hunyuan_config,
    ivvae_config,
    odvae_config,
    opsvae_config,
    wan_config,
    wfvae_config,
)
from .families.cvvae import Cvvae
from .families.hunyuan import Hunyuan
from .families.hunyuan15 import Hunyuan15
from .families.ivvae import Ivvae
from .families.odvae import Odvae
from .families.opsvae import Opsvae
from .families.wan import Wan
from .families.wfvae import Wfvae
from .formats import (
    cvvae_from_published,
    hunyuan15_from_published,
    hunyuan_from_published,
    infer_cvvae,
    infer_hunyuan,
    infer_hunyuan15,
    infer_ivvae,
    infer_odvae,
    infer_opsvae,
    infer_wan,
    infer_wfvae,
    is_cvvae,
    is_cvvae_config,
    is_hunyuan,
    is_hunyuan15,
    is_hunyuan15_config,
    is_hunyuan_config,
    is_ivvae,
    is_ivvae_config,
    is_odvae,
    is_odvae_config,
    is_opsvae,
    is_opsvae_config,
    is_wan,
    is_wan_config,
    is_wfvae,
    is_wfvae_config,
    ivvae_from_published,
    odvae_from_published,
    opsvae_from_published,
    wan_from_published,
    wfvae_from_published,
)
from .vae import VideoVAE


@dataclass(frozen=True)
class Family:
    """A family: its network and presets, and the functions that recognise its files.

    `is_published` and `from_published` read a published config.json; `is_ours` and `infer` read
    names and shapes of weights. `infer` also returns what it had to assume, as sentences.
    """

    network: Callable[[Any], VideoVAE]
    config: type[NetworkConfig]
    presets: Mapping[str, NetworkConfig]
    is_published: Callable[[Mapping[str, Any]], bool]
    from_published: Callable[[dict[str, Any]], NetworkConfig]
    is_ours: Callable[[Mapping[str, Tensor]], bool]
    infer: Callable[[Mapping[str, Tensor]], tuple[NetworkConfig, tuple[str, ...]]]


FAMILIES = {
    "odvae": Family(
        Odvae,
        odvae_config.OdvaeConfig,
        odvae_config.PRESETS,
        is_odvae_config,
        odvae_from_published,
        is_odvae,
        infer_odvae,
    ),
    "cvvae": Family(
        Cvvae,
        cvvae_config.CvvaeConfig,
        cvvae_config.PRESETS,
        is_cvvae_config,
        cvvae_from_published,
        is_cvvae,
        infer_cvvae,
    ),
    "ivvae": Family(
        Ivvae,
        ivvae_config.IvvaeConfig,
        ivvae_config.PRESETS,
        is_ivvae_config,
        ivvae_from_published,
        is_ivvae,
        infer_ivvae,
    ),
    "wfvae": Family(
        Wfvae,
        wfvae_config.WfvaeConfig,
        wfvae_config.PRESETS,
        is_wfvae_config,
        wfvae_from_published,
        is_wfvae,
        infer_wfvae,
    ),
    "opsvae": Family(
        Opsvae,
        opsvae_config.OpsvaeConfig,
        opsvae_config.PRESETS,
        is_opsvae_config,
        opsvae_from_published,
        is_opsvae,
        infer_opsvae,
    ),
    "wan": Family(
        Wan,
        wan_config.WanConfig,
        wan_config.PRESETS,
        is_wan_config,
        wan_from_published,
        is_wan,
        infer_wan,
    ),
    "hunyuan": Family(
        Hunyuan,
        hunyuan_config.HunyuanConfig,
        hunyuan_config.PRESETS,
        is_hunyuan_config,
        hunyuan_from_published,
        is_hunyuan,
        infer_hunyuan,
    ),
    "hunyuan15": Family(
        Hunyuan15,
        hunyuan15_config.Hunyuan15Config,
        hunyuan15_config.PRESETS,
        is_hunyuan15_config,
        hunyuan15_from_published,
        is_hunyuan15,
        infer_hunyuan15,
    ),
}
"""The one table of families."""


def build(config: str | dict[str, Any] | NetworkConfig, family: str | None = None) -> VideoVAE:
    """A VAE with random weights that can be trained.

    `config` is a preset's name, a configuration, or a dict: of ours, or a published config.json.
    `family` names the family of a dict that could belong to two. Raises `ValueError` on an
    unknown name or field.
    """
    config = read_config(config, family)
    return FAMILIES[family_of(config)].network(config)


def read_config(
    config: str | dict[str, Any] | NetworkConfig, family: str | None = None
) -> NetworkConfig:
    """The configuration of a preset's name, a dict or a configuration."""
    families = choose_families(family)
    if isinstance(config, str):
        presets = {name: preset for item in families for name, preset in item.presets.items()}
        if config not in presets:
            raise ValueError(f"got preset {config!r}; the presets are {', '.join(presets)}")
        return presets[config]
    if isinstance(config, tuple(item.config for item in families)):
        return config
    if not isinstance(config, dict):
        raise ValueError(
            f"got a configuration of type {type(config).__name__}; give a preset's name, a dict, "
            f"or {' or '.join(item.config.__name__ for item in families)}"
        )
    for item in families:
        if item.is_published(config):
            return item.from_published(config)
    nearest = max(families, key=lambda item: len(field_names(item.config) & set(config)))
    return from_dict(nearest.config, config)


def choose_families(name: str | None) -> list[Family]:
    """The named family, or all. Raises `ValueError` on an unknown name."""
    if name is None:
        return list(FAMILIES.values())
    if name not in FAMILIES:
        raise ValueError(f"got family {name!r}; the families are {', '.join(FAMILIES)}")
    return [FAMILIES[name]]


def family_of(config: object) -> str:
    """The name of the family that a configuration belongs to."""
    return next(name for name, family in FAMILIES.items() if isinstance(config, family.config))


def name_preset(config: object) -> str | None:
    """The preset that equals a configuration, if one does."""
    presets = FAMILIES[family_of(config)].presets
    return next((name for name, preset in presets.items() if preset == config), None)


def field_names(config: type) -> set[str]:
    """The names of a configuration's fields."""
    return {field.name for field in dataclasses.fields(config)}
