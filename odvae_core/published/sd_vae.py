"""The 2D Stable Diffusion VAE: its names in LDM and in diffusers."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from .files import strip_owner

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


def is_sd_vae(tensors: Mapping[str, Tensor]) -> bool:
    """Tell whether these are a 2D VAE's, in LDM or diffusers names."""
    coders = {"encoder.conv_in.weight", "decoder.conv_in.weight"} <= set(tensors)
    return coders and all(tensor.ndim < 5 for tensor in tensors.values())


def to_ldm(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The 2D VAE in LDM names: from these, from diffusers names, or from a whole SD checkpoint.

    Raises `ValueError` where there is no 2D VAE.
    """
    tensors = strip_owner(state_dict)
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
    """A diffusers name in LDM's words; LDM's own stay as they are."""
    key = re.sub(r"\.up_blocks\.(\d+)\.", lambda m: f".up.{levels - 1 - int(m[1])}.", key)
    for pattern, name in DIFFUSERS_NAMES:
        key = re.sub(pattern, name, key)
    return key


def as_conv(tensor: Tensor) -> Tensor:
    """Attention's projections [C, C] as 1x1 convolutions [C, C, 1, 1]."""
    return tensor[:, :, None, None] if tensor.ndim == 2 else tensor
