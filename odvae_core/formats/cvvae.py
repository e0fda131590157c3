"""CV-VAE's configuration fields and keys, as its authors and diffusers write them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from ..families.cvvae_config import CVVAE, CVVAE_SD3, CvvaeConfig, Level
from .sections import read_size

ATTENTIONS = {
    "vanilla": "frame",
    "vanilla-xformers": "frame",
    "spatial-temporal-xformer": "space-time",
}
MUST_BE = {"double_z": True, "use_3d_conv": True, "in_channels": 3, "mid_block_add_attention": True}
"""Fields with only one supported value."""


@dataclass(frozen=True)
class Layout:
    """The names of one published network: of a block's first convolution, from fine to coarse.

    `doubles_time` says it of the decoder's layer behind a level, of so many levels.
    """

    base: CvvaeConfig
    block: str
    doubles_time: Callable[[int, int], bool]


LAYOUTS = (
    Layout(
        CVVAE,
        "encoder.down.{level}.block.{i}.conv1.weight",
        doubles_time=lambda level, levels: level % 2 == 1,
    ),
    Layout(
        CVVAE_SD3,
        "encoder.down_blocks.{level}.resnets.{i}.conv1.weight",
        doubles_time=lambda level, levels: (levels - 1 - level) % 2 == 0,
    ),
)
"""`CVVAEModel` and `CVVAESD3Model`. Time is halved behind every other level, from the finest; it is
doubled behind every other one, counted from the finest in the first, from the coarsest in the
second.
"""


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
    """Published as `CVVAEModel`."""
    multipliers, width = fields["ch_mult"], fields.get("ch", 128)
    return replace(
        CVVAE,
        levels=make_levels([width * m for m in multipliers], LAYOUTS[0].doubles_time),
        blocks=fields.get("num_res_blocks", 2),
        z_channels=fields.get("z_channels", 4),
        encoder_attention=translate(fields, "encoder_attn_type", "vanilla-xformers"),
        decoder_attention=translate(fields, "decoder_attn_type", "spatial-temporal-xformer"),
        attention_resolutions=tuple(fields.get("attn_resolutions", ())),
        latent_scale=fields.get("scaling_factor", CVVAE.latent_scale),
    )


def read_sd3(fields: Mapping[str, Any]) -> CvvaeConfig:
    """Published as `CVVAESD3Model`."""
    channels = fields["block_out_channels"]
    return replace(
        CVVAE_SD3,
        levels=make_levels(channels, LAYOUTS[1].doubles_time),
        blocks=fields.get("layers_per_block", 2),
        z_channels=fields.get("out_channels", 16),
        norm_groups=fields.get("norm_num_groups", 32),
    )


def cvvae_to_published(config: CvvaeConfig) -> dict[str, Any]:
    """The config.json of a configuration, as the authors' code reads it."""
    fields = {
        "double_z": True,
        "in_channels": 3,
        "half_3d": config.second_conv == "2d",
        "causal_encoder": config.encoder_time == "causal",
        "causal_decoder": config.decoder_time == "causal",
        "time_n_compress": 2**config.time_halvings,
        "spatial_n_compress": 2**config.space_halvings,
    }
    return fields | (describe_sd3(config) if config.parent == "sd3" else describe_sd2(config))


def describe_sd2(config: CvvaeConfig) -> dict[str, Any]:
    """The inverse of `read_sd2`."""
    kinds = {ours: name for name, ours in ATTENTIONS.items()}
    return {
        "_class_name": "CVVAEModel",
        "z_channels": config.z_channels,
        "out_ch": 3,
        "ch": config.widths[0],
        "ch_mult": [width // config.widths[0] for width in config.widths],
        "num_res_blocks": config.blocks,
        "attn_resolutions": list(config.attention_resolutions),
        "dropout": 0.0,
        "use_3d_conv": True,
        "encoder_attn_type": kinds[config.encoder_attention],
        "decoder_attn_type": kinds[config.decoder_attention],
        "scaling_factor": config.latent_scale,
        "force_upcast": True,
    }


def describe_sd3(config: CvvaeConfig) -> dict[str, Any]:
    """The inverse of `read_sd3`."""
    levels = len(config.levels)
    return {
        "_class_name": "CVVAESD3Model",
        "out_channels": config.z_channels,
        "down_block_types": ["DownEncoderBlock3D"] * levels,
        "up_block_types": ["UpDecoderBlock3D"] * levels,
        "block_out_channels": list(config.widths),
        "layers_per_block": config.blocks,
        "norm_num_groups": config.norm_groups,
        "act_fn": "silu",
        "mid_block_add_attention": True,
    }


def make_levels(
    channels: Sequence[int], doubles_time: Callable[[int, int], bool]
) -> tuple[Level, ...]:
    """The levels of so many channels, from fine to coarse, as published."""
    coarsest = len(channels) - 1
    return tuple(
        Level(
            count,
            "" if i == coarsest else "space" if i % 2 else "joint",
            "" if i == 0 else "joint" if doubles_time(i, len(channels)) else "space",
        )
        for i, count in enumerate(channels)
    )


def translate(fields: Mapping[str, Any], name: str, default: str) -> str:
    """Our word for a kind of attention."""
    kind = fields.get(name, default)
    if kind not in ATTENTIONS:
        raise ValueError(f"got {name} = {kind!r}; known are {', '.join(map(repr, ATTENTIONS))}")
    return ATTENTIONS[kind]


def is_cvvae(tensors: Mapping[str, Tensor]) -> bool:
    """Tell whether these are a CV-VAE's: 3D convolutions under a 2D VAE's names."""
    found = (tensors.get(layout.block.format(level=0, i=0)) for layout in LAYOUTS)
    return any(weight is not None and weight.ndim == 5 for weight in found)


def infer_cvvae(tensors: Mapping[str, Tensor]) -> tuple[CvvaeConfig, tuple[str, ...]]:
    """The configuration of a CV-VAE's weights, and what had to be assumed, as sentences.

    Raises `ValueError` where too little is there.
    """
    layout = next(item for item in LAYOUTS if item.block.format(level=0, i=0) in tensors)
    levels = list_keys(tensors, layout.block, level=None, i=0)
    channels = [read_size(tensors, key, 0) for key in levels]
    second = tensors.get(levels[0].replace("conv1", "conv2"))
    config = replace(
        layout.base,
        levels=make_levels(channels, layout.doubles_time),
        blocks=len(list_keys(tensors, layout.block, level=0, i=None)),
        z_channels=read_size(tensors, "decoder.conv_in.weight", 1),
        second_conv="3d" if second is not None and second.ndim == 5 else "2d",
        encoder_attention=read_attention(tensors, "encoder"),
        decoder_attention=read_attention(tensors, "decoder"),
        attention_resolutions=read_resolutions(tensors, len(channels)),
    )
    return config, ("its encoder is causal and its decoder centred in time, as published",)


def list_keys(
    tensors: Mapping[str, Tensor], name: str, level: int | None, i: int | None
) -> list[str]:
    """The keys of a name with one open number, in the order of that number."""
    found: list[str] = []
    while True:
        count = len(found)
        key = name.format(level=count if level is None else level, i=count if i is None else i)
        if key not in tensors:
            return found
        found.append(key)


def read_attention(tensors: Mapping[str, Tensor], coder: str) -> str:
    """The kind of a coder's attention."""
    return "space-time" if f"{coder}.mid.attn_1.q_t.weight" in tensors else "frame"


def read_resolutions(tensors: Mapping[str, Tensor], levels: int) -> tuple[int, ...]:
    """The nominal resolutions of the levels with attention."""
    names = "encoder.down.{}.attn.0.q.weight", "decoder.up.{}.attn.0.q.weight"
    found = (i for i in range(levels) if any(name.format(i) in tensors for name in names))
    return tuple(sorted(CvvaeConfig.resolution // 2**i for i in found))
