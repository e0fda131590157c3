"""WF-VAE's configuration fields and keys, as its authors write them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..constants import LATENT_SCALE
from ..families.wfvae_config import PRESETS, WfvaeConfig
from ..layers.wavelet import FACTORS, ORDERS
from ..scaling import Factors
from .sections import read_size

FIELDS = {
    "z_channels": "latent_dim",
    "width": "base_channels",
    "encoder_flow": "encoder_energy_flow_hidden_size",
    "decoder_flow": "decoder_energy_flow_hidden_size",
    "flow_blocks": "connect_res_layer_num",
    "blocks": "encoder_num_resblocks",
    "decoder_blocks": "decoder_num_resblocks",
}
"""Field of WfvaeConfig: published field."""

LEVEL_FIELDS = {
    "l1_dowmsample_block": {"Downsample": "frame", "Spatial2xTime2x3DDownsample": "joint"},
    "l1_downsample_wavelet": {
        "HaarWaveletTransform2D": "frame",
        "HaarWaveletTransform3D": "joint",
    },
    "l1_upsample_block": {"Upsample": "frame", "Spatial2xTime2x3DUpsample": "joint"},
    "l1_upsample_wavelet": {
        "InverseHaarWaveletTransform2D": "frame",
        "InverseHaarWaveletTransform3D": "joint",
    },
}
"""The published fields of the finest level, misspelt as published, and our words for their
classes. Older files lack them: the first word."""

MUST_BE = {
    "norm_type": ("groupnorm", "layernorm"),
    "t_interpolation": ("nearest", "trilinear"),
    "attention_type": ("AttnBlock3DFix", "AttnBlock3DFix"),
    "l2_dowmsample_block": ("Spatial2xTime2x3DDownsample",) * 2,
    "l2_downsample_wavelet": ("HaarWaveletTransform3D",) * 2,
    "l2_upsample_block": ("Spatial2xTime2x3DUpsample",) * 2,
    "l2_upsample_wavelet": ("InverseHaarWaveletTransform3D",) * 2,
}
"""Fields with one supported value: what the authors' code takes where they are absent, and it."""

BANDS = {
    False: ("aa", "ad", "da", "dd"),
    True: ("h", "g", "hh", "gh", "h_v", "g_v", "hh_v", "gh_v"),
}
"""The published names of the wavelets' filters in space, and in space and time, in our order."""

UNRELEASED = "; no release of WF-VAE has it: load it with its authors' code"


def is_wfvae_config(fields: Mapping[str, Any]) -> bool:
    """Tell whether a config.json is a published WF-VAE's, or its rewrite's."""
    return fields.get("_class_name") == "WFVAE2Model" or FIELDS["encoder_flow"] in fields


def wfvae_from_published(fields: Mapping[str, Any]) -> WfvaeConfig:
    """The configuration that a published WF-VAE config.json describes.

    Raises `ValueError` on what can't be built.
    """
    if fields.get("_class_name") == "WFVAE2Model" or "encoder_energy_flow_size" in fields:
        raise ValueError("got the class WFVAE2Model" + UNRELEASED)
    for name, (default, value) in MUST_BE.items():
        got = fields.get(name, default)
        if got != value:
            raise ValueError(f"got {name} = {got!r}; a WF-VAE here has {value!r}{UNRELEASED}")
    missing = [name for name in FIELDS.values() if name not in fields]
    if missing:
        raise ValueError(f"this config.json of a WF-VAE lacks {', '.join(missing)}")
    config = WfvaeConfig(
        **{ours: fields[name] for ours, name in FIELDS.items()},
        finest=read_finest(fields),
        attention="frame" if fields.get("use_attention", True) else "",
    )
    return replace(
        config,
        latent_scale=read_factors(fields, "scale", LATENT_SCALE, config.z_channels),
        latent_shift=read_factors(fields, "shift", 0.0, config.z_channels),
    )


def read_finest(fields: Mapping[str, Any]) -> str:
    """What the finest level halves. Raises `ValueError` where its fields contradict each other."""
    words = {
        name: kinds.get(fields.get(name, next(iter(kinds)))) for name, kinds in LEVEL_FIELDS.items()
    }
    if len(set(words.values())) != 1 or None in words.values():
        given = {name: fields.get(name) for name in words}
        raise ValueError(f"got {given}; they are all of a picture, or all of a clip")
    return words["l1_dowmsample_block"] or ""


def read_factors(fields: Mapping[str, Any], name: str, default: float, channels: int) -> Factors:
    """The scale or shift of a config.json: one number where all are equal.

    The release of L-16 lists four equal ones for its 16 channels.
    """
    values = fields.get(name, default)
    values = tuple(values) if isinstance(values, list | tuple) else (values,)
    if values and all(value == values[0] for value in values):
        return values[0]
    if len(values) != channels:
        raise ValueError(f"got {len(values)} values of {name} for {channels} channels")
    return values


def wfvae_to_published(config: WfvaeConfig) -> dict[str, Any]:
    """The config.json of a configuration, as the authors' code reads it."""

    def repeat(factors: Factors) -> list[float]:
        return list(factors) if isinstance(factors, tuple) else [factors] * config.z_channels

    kinds = {
        name: next(kind for kind, word in words.items() if word == config.finest)
        for name, words in LEVEL_FIELDS.items()
    }
    return {
        "_class_name": "WFVAEModel",
        **{name: getattr(config, ours) for ours, name in FIELDS.items()},
        **{name: value for name, (_, value) in MUST_BE.items()},
        **kinds,
        "use_attention": bool(config.attention),
        "dropout": 0.0,
        "scale": repeat(config.latent_scale),
        "shift": repeat(config.latent_shift),
    }


def is_wfvae(tensors: Mapping[str, Tensor]) -> bool:
    """Tell whether these are a WF-VAE's."""
    return {"encoder.connect_l1.weight", "encoder.down1.0.weight"} <= set(tensors)


def infer_wfvae(tensors: Mapping[str, Tensor]) -> tuple[WfvaeConfig, tuple[str, ...]]:
    """The configuration of a WF-VAE's weights, and what had to be assumed, as sentences.

    Raises `ValueError` where too little is there.
    """
    if "encoder.norm_out.weight" in tensors:
        raise ValueError("got norms over groups (norm_type = 'groupnorm')" + UNRELEASED)
    flow_blocks = find_number(tensors, "decoder.connect_l1.{}.weight")
    joint = read_size(tensors, "encoder.connect_l1.weight", 1) == 24
    config = WfvaeConfig(
        read_size(tensors, "decoder.conv_in.conv.weight", 1),
        read_size(tensors, "encoder.down1.0.weight", 0),
        read_size(tensors, "encoder.connect_l1.weight", 0),
        read_size(tensors, f"decoder.connect_l1.{flow_blocks}.weight", 1),
        flow_blocks,
        find_number(tensors, "encoder.down2.{}.conv.conv.weight") - 1,
        find_number(tensors, "decoder.up2.{}.conv.conv.weight"),
        "joint" if joint else "frame",
        "frame" if "encoder.mid.1.q.conv.weight" in tensors else "",
    )
    return scale_as_published(config)


def scale_as_published(config: WfvaeConfig) -> tuple[WfvaeConfig, tuple[str, ...]]:
    """Add the scale and shift of the published file of this architecture; says so in a sentence."""
    time = "its decoder interpolates linearly in time, as in every release"
    scale, shift = config.latent_scale, config.latent_shift
    for name, preset in PRESETS.items():
        if replace(preset, latent_scale=scale, latent_shift=shift) == config:
            return preset, (time, f"latents are scaled and shifted as published for {name}")
    return config, (time, f"latents are scaled by {scale} and shifted by {shift}, the default")


def find_number(tensors: Mapping[str, Tensor], name: str) -> int:
    """The first number, counted from 0, with which `name` is a key. Raises `ValueError`."""
    for number in range(len(tensors)):
        if name.format(number) in tensors:
            return number
    raise ValueError(f"its architecture can't be read: {name.format('N')} is missing")


def wfvae_constants(config: WfvaeConfig) -> dict[str, Tensor]:
    """The fixed filters of the wavelets under the authors' keys, which their code asks for."""
    finest = config.finest == "joint"
    constants: dict[str, Tensor] = {}
    for coder, start, last in (("encoder", "", "in"), ("decoder", "inverse_", "out")):
        for level, time in ((last, True), ("l1", finest), ("l2", True)):
            owner = f"{coder}.{start}wavelet_transform_{level}"
            end = "_conv.conv.weight" if time and coder == "encoder" else ""
            for name, value in zip(BANDS[time], make_filters(time), strict=True):
                constants[f"{owner}.{name}{end}"] = value
    return constants


def make_filters(time: bool) -> list[Tensor]:
    """The filters of all bands, in our order: [1, 1, 2, 2], or [1, 1, 2, 2, 2] with `time`."""
    axes = ORDERS[time]
    filters: list[Tensor] = []
    for band in range(2 ** len(axes)):
        value = torch.tensor(FACTORS[time]).view((1,) * (len(axes) + 2))
        for bit, axis in enumerate(axes):
            axis -= 0 if time else 1
            value = torch.cat([value, -value if band >> bit & 1 else value], dim=axis)
        filters.append(value)
    return filters
