"""Published OD-VAE configurations: fields and class names of config.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..families.odvae_config import Level, OdvaeConfig

CONVS = {"Conv2d": "2d", "CausalConv3d": "3d"}
BLOCKS = {"ResnetBlock2D": "2d", "ResnetBlock3D": "3d"}
ATTENTIONS = {
    "AttnBlock": "2d",
    "AttnBlock3DFix": "frame",
    "AttnBlock3D": "scrambled",
    "TemporalAttnBlock": "temporal",
}
DOWN = {
    "": "",
    "Downsample": "frame",
    "SpatialDownsample2x": "space",
    "Spatial2xTime2x3DDownsample": "joint",
}
DOWN_TIME = {"": "", "TimeDownsample2x": "average", "TimeDownsampleRes2x": "mixed"}
UP = {
    "": "",
    "Upsample": "frame",
    "SpatialUpsample2x": "space",
    "Spatial2xTime2x3DUpsample": "joint",
}
UP_TIME = {"": "", "TimeUpsample2x": "linear", "TimeUpsampleRes2x": "mixed"}

LEVEL_FIELDS = {
    "multiplier": ("hidden_size_mult", None),
    "encoder": ("encoder_resnet_blocks", BLOCKS),
    "down": ("encoder_spatial_downsample", DOWN),
    "down_time": ("encoder_temporal_downsample", DOWN_TIME),
    "decoder": ("decoder_resnet_blocks", BLOCKS),
    "up": ("decoder_spatial_upsample", UP),
    "up_time": ("decoder_temporal_upsample", UP_TIME),
}
FIELDS = {
    "width": ("hidden_size", None),
    "blocks": ("num_res_blocks", None),
    "z_channels": ("z_channels", None),
    "embed_dim": ("embed_dim", None),
    "resolution": ("resolution", None),
    "encoder_in": ("encoder_conv_in", CONVS),
    "encoder_middle": ("encoder_mid_resnet", BLOCKS),
    "encoder_attention": ("encoder_attention", ATTENTIONS),
    "encoder_out": ("encoder_conv_out", CONVS),
    "decoder_in": ("decoder_conv_in", CONVS),
    "decoder_middle": ("decoder_mid_resnet", BLOCKS),
    "decoder_attention": ("decoder_attention", ATTENTIONS),
    "decoder_out": ("decoder_conv_out", CONVS),
}
"""Field of OdvaeConfig: published field, words to translate (None: a number)."""


def is_odvae_config(fields: Mapping[str, Any]) -> bool:
    """Tell whether a config.json is a published OD-VAE's."""
    return "hidden_size_mult" in fields or "encoder_resnet_blocks" in fields


def odvae_from_published(fields: dict[str, Any]) -> OdvaeConfig:
    """The configuration that a published OD-VAE config.json describes.

    Fields of the trainer and of the hub are ignored. Raises `ValueError` on a missing field or an
    unknown module.
    """
    rows = {name: _read_list(fields, *where) for name, where in LEVEL_FIELDS.items()}
    lengths = {name: len(row) for name, row in rows.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"the lists of this config.json differ in length: {lengths}")
    levels = tuple(
        Level(**dict(zip(rows, row, strict=True))) for row in zip(*rows.values(), strict=True)
    )
    values = {
        name: _translate(where[0], _get(fields, where[0]), where[1])
        for name, where in FIELDS.items()
    }
    if not fields.get("double_z", True):
        raise ValueError(
            "got double_z = false; an encoder without variances is no VAE and can't be built"
        )
    quant = _translate("q_conv", fields.get("q_conv", "CausalConv3d"), CONVS)
    return OdvaeConfig(
        levels,
        quant=quant if fields.get("use_quant_layer", True) else "",
        attention_resolutions=tuple(fields.get("attn_resolutions", ())),
        **values,
    )


def odvae_to_published(config: OdvaeConfig) -> dict[str, Any]:
    """The config.json of a configuration, as the authors' code reads it.

    Raises `ValueError` on a layer that their code doesn't have.
    """
    lists = {
        name: [_invert(name, getattr(level, ours), words) for level in config.levels]
        for ours, (name, words) in LEVEL_FIELDS.items()
    }
    values = {
        name: _invert(name, getattr(config, ours), words) for ours, (name, words) in FIELDS.items()
    }
    return {
        "_class_name": "CausalVAEModel",
        **values,
        **lists,
        "attn_resolutions": list(config.attention_resolutions),
        "q_conv": _invert("q_conv", config.quant or "3d", CONVS),
        "use_quant_layer": bool(config.quant),
        "dropout": 0.0,
        "double_z": True,
    }


def _invert(name: str, value: Any, words: dict[str, str] | None) -> Any:
    if words is None:
        return value
    if value not in words.values():
        raise ValueError(f"got {value!r}, for which the authors' field {name} has no word")
    return next(word for word, ours in words.items() if ours == value)


def _get(fields: dict[str, Any], name: str) -> Any:
    if name not in fields:
        raise ValueError(f"this config.json has no field {name}; a published OD-VAE's has")
    return fields[name]


def _translate(name: str, value: Any, words: dict[str, str] | None) -> Any:
    if words is None:
        return value
    if value not in words:
        raise ValueError(f"got {name} = {value!r}; known are {', '.join(map(repr, words))}")
    return words[value]


def _read_list(fields: dict[str, Any], name: str, words: dict[str, str] | None) -> list[Any]:
    return [_translate(name, value, words) for value in _get(fields, name)]
