"""CV-VAE's configuration fields, as its authors and diffusers write them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..families.cvvae_config import CVVAE, CVVAE_SD3, CvvaeConfig, Level

ATTENTIONS = {
    "vanilla": "frame",
    "vanilla-xformers": "frame",
    "spatial-temporal-xformer": "space-time",
}
MUST_BE = {"double_z": True, "use_3d_conv": True, "in_channels": 3, "mid_block_add_attention": True}
"""Fields that the networks here have no choice in."""


def is_cvvae_config(fields: Mapping[str, Any]) -> bool:
    """Tell whether a config.json is a published CV-VAE's."""
    return "half_3d" in fields and ("ch_mult" in fields or "block_out_channels" in fields)


def cvvae_from_published(fields: Mapping[str, Any]) -> CvvaeConfig:
    """The configuration that a published CV-VAE config.json describes.

    Windows and tiles are no part of it. Raises `ValueError` on what can't be built.
    """
    for name, value in MUST_BE.items():
        if fields.get(name, value) != value:
            raise ValueError(f"got {name} = {fields[name]!r}; a CV-VAE here has {value!r}")
    read = read_sd3 if "block_out_channels" in fields else read_sd2
    return replace(
        read(fields),
        encoder_time="causal" if fields.get("causal_encoder", True) else "centred",
        decoder_time="causal" if fields.get("causal_decoder", False) else "centred",
        second_conv="2d" if fields["half_3d"] else "3d",
    )


def read_sd2(fields: Mapping[str, Any]) -> CvvaeConfig:
    """Published as `CVVAEModel`: time is halved after every other level, from the finest."""
    multipliers, width = fields["ch_mult"], fields.get("ch", 128)
    return replace(
        CVVAE,
        levels=make_levels([width * m for m in multipliers], lambda level: level % 2 == 1),
        blocks=fields.get("num_res_blocks", 2),
        z_channels=fields.get("z_channels", 4),
        encoder_attention=translate(fields, "encoder_attn_type", "vanilla-xformers"),
        decoder_attention=translate(fields, "decoder_attn_type", "spatial-temporal-xformer"),
        attention_resolutions=tuple(fields.get("attn_resolutions", ())),
        latent_scale=fields.get("scaling_factor", CVVAE.latent_scale),
    )


def read_sd3(fields: Mapping[str, Any]) -> CvvaeConfig:
    """Published as `CVVAESD3Model`: time is doubled in every other turn of the decoder."""
    channels = fields["block_out_channels"]
    return replace(
        CVVAE_SD3,
        levels=make_levels(channels, lambda level: (len(channels) - 1 - level) % 2 == 0),
        blocks=fields.get("layers_per_block", 2),
        z_channels=fields.get("out_channels", 16),
        norm_groups=fields.get("norm_num_groups", 32),
    )


def make_levels(channels: list[int], doubles_time: Any) -> tuple[Level, ...]:
    """Levels that halve time after every other one; `doubles_time` says it of the decoder's."""
    coarsest = len(channels) - 1
    return tuple(
        Level(
            count,
            "" if i == coarsest else "space" if i % 2 else "joint",
            "" if i == 0 else "joint" if doubles_time(i) else "space",
        )
        for i, count in enumerate(channels)
    )


def translate(fields: Mapping[str, Any], name: str, default: str) -> str:
    """Our word for a kind of attention."""
    kind = fields.get(name, default)
    if kind not in ATTENTIONS:
        raise ValueError(f"got {name} = {kind!r}; known are {', '.join(map(repr, ATTENTIONS))}")
    return ATTENTIONS[kind]
