"""The 2D Stable Diffusion VAE: its names in LDM and in diffusers, its sizes, its latent scale."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import count, takewhile
from typing import Any

from torch import Tensor

from ..config import is_number
from ..constants import (
    FLUX_LATENT_SCALE,
    FLUX_LATENT_SHIFT,
    LATENT_SCALE,
    SD3_LATENT_SCALE,
    SD3_LATENT_SHIFT,
    SDXL_LATENT_SCALE,
)
from ..families.odvae_config import SD_VAE, Level, OdvaeConfig
from .sections import read_size, strip_owner
from .unsupported import name_unsupported

DIFFUSERS_NAMES = (
    (r"\.down_blocks\.(\d+)\.", r".down.\1."),
    (r"\.mid_block\.resnets\.0\.", ".mid.block_1."),
    (r"\.mid_block\.resnets\.1\.", ".mid.block_2."),
    (r"\.mid_block\.attentions\.0\.", ".mid.attn_1."),
    (r"\.resnets\.(\d+)\.", r".block.\1."),
    (r"\.attentions\.(\d+)\.", r".attn.\1."),
    (r"\.downsamplers\.0\.", ".downsample."),
    (r"\.upsamplers\.0\.", ".upsample."),
    (r"\.conv_norm_out\.", ".norm_out."),
    (r"\.conv_shortcut\.", ".nin_shortcut."),
    (r"\.group_norm\.", ".norm."),
    (r"\.(to_q|query)\.", ".q."),
    (r"\.(to_k|key)\.", ".k."),
    (r"\.(to_v|value)\.", ".v."),
    (r"\.(to_out\.0|proj_attn)\.", ".proj_out."),
)
"""The 2D VAE's names in diffusers, old and new, to LDM's; `up_blocks` also count the other way."""


@dataclass(frozen=True)
class SdScale:
    """The scale and shift of a 2D VAE's latents: diffusion models use (latent - shift) * scale.

    `assumption` is a sentence where they were assumed, else "".
    """

    scale: float
    shift: float
    assumption: str = ""


OWNER_SCALES = {
    "conditioner.embedders.1.": SdScale(SDXL_LATENT_SCALE, 0.0),
    "cond_stage_model.": SdScale(LATENT_SCALE, 0.0),
    "model.diffusion_model.joint_blocks.": SdScale(SD3_LATENT_SCALE, SD3_LATENT_SHIFT),
    "model.diffusion_model.double_blocks.": SdScale(FLUX_LATENT_SCALE, FLUX_LATENT_SHIFT),
}
"""By names that only one diffusion model's checkpoint has: SDXL, SD 1 and 2, SD3, Flux.

SDXL's comes first: no other model has a second text encoder of this name.
"""

CHANNEL_SCALES = {
    4: SdScale(
        LATENT_SCALE,
        0.0,
        f"latents are scaled by {LATENT_SCALE}, as of Stable Diffusion 1 and 2; its file doesn't "
        f"tell it from SDXL's VAE, whose scale is {SDXL_LATENT_SCALE}",
    ),
    16: SdScale(
        SD3_LATENT_SCALE,
        SD3_LATENT_SHIFT,
        f"latents are scaled by {SD3_LATENT_SCALE} and shifted by {SD3_LATENT_SHIFT}, as of Stable "
        "Diffusion 3; its file doesn't tell it from Flux' VAE, whose scale is "
        f"{FLUX_LATENT_SCALE} and whose shift is {FLUX_LATENT_SHIFT}",
    ),
}
"""By the channels of the latent, where there are only weights of the VAE."""

UNSCALED = SdScale(1.0, 0.0, "latents are neither scaled nor shifted: its file doesn't tell how")


def is_sd_vae(tensors: Mapping[str, Tensor]) -> bool:
    """Tell whether these are a 2D VAE's, in LDM or diffusers names."""
    coders = {"encoder.conv_in.weight", "decoder.conv_in.weight"} <= set(tensors)
    return coders and all(tensor.ndim < 5 for tensor in tensors.values())


def to_ldm(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The 2D VAE in LDM names: from these, from diffusers names, or from a whole SD checkpoint.

    Raises `ValueError` where there is no 2D VAE, or an unsupported one.
    """
    tensors = strip_owner(state_dict)
    other = name_unsupported(tensors)
    if other is not None:
        raise ValueError(
            f"got no 2D Stable Diffusion VAE but the {other} VAE, which can't be "
            "inflated: give the VAE of Stable Diffusion, SDXL, SD3 or Flux"
        )
    levels = len({key.split(".")[2] for key in tensors if key.startswith("decoder.up_blocks.")})
    renamed = {rename_diffusers(key, levels): tensor for key, tensor in tensors.items()}
    parts = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")
    vae = {key: as_conv(tensor) for key, tensor in renamed.items() if key.startswith(parts)}
    stem = vae.get("encoder.conv_in.weight")
    ends = (
        "encoder.down.0.block.0.conv1.weight",
        "decoder.conv_in.weight",
        "decoder.conv_out.weight",
    )
    if (
        stem is None
        or any(tensor.ndim == 5 for tensor in vae.values())
        or not set(ends) <= set(vae)
    ):
        some = ", ".join(list(state_dict)[:5]) or "none"
        raise ValueError(
            "got no 2D Stable Diffusion VAE in LDM or diffusers names; "
            f"the first of its {len(state_dict)} keys: {some}"
        )
    return vae


def rename_diffusers(key: str, levels: int) -> str:
    """The LDM name for a diffusers name; LDM names are returned unchanged."""
    key = re.sub(r"\.up_blocks\.(\d+)\.", lambda m: f".up.{levels - 1 - int(m[1])}.", key)
    for pattern, name in DIFFUSERS_NAMES:
        key = re.sub(pattern, name, key)
    return key


def as_conv(tensor: Tensor) -> Tensor:
    """Attention's projections [C, C] as 1x1 convolutions [C, C, 1, 1]."""
    return tensor[:, :, None, None] if tensor.ndim == 2 else tensor


def infer_sd_vae(tensors: Mapping[str, Tensor], norm_groups: int) -> OdvaeConfig:
    """The configuration of a 2D VAE in LDM names; weights don't tell the groups of its norms.

    Raises `ValueError` where too little is there.
    """
    first, block = "encoder.down.{}.block.0.conv1.weight", "encoder.down.0.block.{}.conv1.weight"
    widths = [read_size(tensors, key, 0) for key in list_keys(tensors, first)]
    width = read_size(tensors, "encoder.conv_in.weight", 0)
    z_channels = read_size(tensors, "decoder.conv_in.weight", 1)
    quant = "post_quant_conv.weight" in tensors
    levels = (
        Level(
            max(1, channels // width),
            *("2d", "" if i == len(widths) - 1 else "frame", ""),
            *("2d", "frame" if i else "", ""),
        )
        for i, channels in enumerate(widths)
    )
    return replace(
        SD_VAE,
        levels=tuple(levels),
        width=width,
        blocks=len(list_keys(tensors, block)),
        z_channels=z_channels,
        embed_dim=read_size(tensors, "post_quant_conv.weight", 1) if quant else z_channels,
        quant=SD_VAE.quant if quant else "",
        norm_groups=norm_groups,
    )


def list_keys(tensors: Mapping[str, Tensor], name: str) -> list[str]:
    """The keys of a name with one open number, in the order of that number."""
    return list(takewhile(tensors.__contains__, map(name.format, count())))


def find_sd_scale(
    fields: Mapping[str, Any] | None, keys: Collection[str], channels: int
) -> SdScale:
    """The scale and shift of a 2D VAE's latents.

    `fields` are those of its config.json, None without one; without them the names of all tensors
    in the file, `keys`, decide. Raises `ValueError` on a scale or shift that no latents have.
    """
    if fields is not None:
        scale, shift = fields.get("scaling_factor", LATENT_SCALE), fields.get("shift_factor")
        shift = 0.0 if shift is None else shift
        if not is_number(scale) or not is_number(shift) or scale <= 0:
            raise ValueError(
                f"got scaling_factor = {repr(scale)[:40]}, shift_factor = {repr(shift)[:40]} in "
                "its config.json; they are a number above 0 and a finite number"
            )
        return SdScale(scale, shift)
    for start, known in OWNER_SCALES.items():
        if any(key.startswith(start) for key in keys):
            return known
    return CHANNEL_SCALES.get(channels, UNSCALED)
