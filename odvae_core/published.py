"""The only file that knows the authors' class names, configuration fields and key prefixes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from .families.odvae_config import Level, OdvaeConfig

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

SECTIONS = {
    "ema": ("ema_state_dict.",),
    "raw": ("state_dict.gen_model.", "gen_model.", "state_dict.", ""),
}
"""Where a file keeps its averaged and its last weights; the first that is there counts."""

WRAPPERS = re.compile(r"(^|\.)(module|_orig_mod)\.")
"""What DistributedDataParallel and torch.compile write into the names."""

OWNERS = ("first_stage_model.", "vae.")
"""What the VAE is called within a diffusion model."""

EXTRAS = re.compile(r"^(\w*loss\w*|dics_model|disc_model|discriminator)\.")
"""What a trainer keeps beside the VAE."""

STRANGERS = {
    "WF-VAE": r"coder\.connect_l\d\.",
    "LTX-Video": r"^per_channel_statistics\.|^latents_mean:|\.res_blocks\.\d+\.conv1\.",
    "CogVideoX": r"\.norm_layer\.weight:",
    "Wan": r"\.residual\.\d\.weight:5|\.down_blocks\.\d+\.norm1\.gamma:|\.resnets\.\d+\.norm1\.gamma:",
    "HunyuanVideo": r"^post_quant_conv\.weight:5|\.resnets\.\d+\.conv1\.conv\.weight:5"
    r"|\.block_1\.norm1\.gamma:",
}
"""Video VAEs of other designs, by a key's name and number of dimensions; the first that fits counts."""

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
"""Names of the 2D VAE in diffusers, old and new, to its names in LDM; `up_blocks` also count the other way round."""


def is_odvae_config(fields: Mapping[str, Any]) -> bool:
    """Tell whether a config.json is a published OD-VAE's."""
    return "hidden_size_mult" in fields or "encoder_resnet_blocks" in fields


def odvae_from_published(fields: dict[str, Any]) -> OdvaeConfig:
    """The configuration that a published OD-VAE config.json describes.

    Fields of the trainer and of the hub are ignored. Raises `ValueError` on a missing field or an unknown module.
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


def select_weights(tensors: Mapping[str, Tensor], weights: str) -> tuple[dict[str, Tensor], str]:
    """The VAE's weights within a file's tensors, by their plain names, and the section they lay in.

    `weights` is "ema" (the averaged ones where the file has them) or "raw". Names are joined by dots. Raises `ValueError` where the
    file has no raw ones.
    """
    order = (*SECTIONS["ema"], *SECTIONS["raw"]) if weights == "ema" else SECTIONS["raw"]
    averaged = SECTIONS["ema"]
    for section in order:
        inside = {
            key.removeprefix(section): tensor
            for key, tensor in tensors.items()
            if key.startswith(section) and (section in averaged or not key.startswith(averaged))
        }
        if inside:
            return {WRAPPERS.sub(r"\1", key): inside[key] for key in inside}, section.rstrip(".")
    raise ValueError("it holds averaged (EMA) weights only; ask for weights='ema'")


def strip_owner(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The VAE alone: without the diffusion model around it, the losses and the discriminators."""
    owner = next((name for name in OWNERS if any(key.startswith(name) for key in tensors)), "")
    inside = {
        key.removeprefix(owner): tensor for key, tensor in tensors.items() if key.startswith(owner)
    }
    return {key: tensor for key, tensor in inside.items() if not EXTRAS.match(key)}


def name_stranger(tensors: Mapping[str, Tensor]) -> str | None:
    """The video VAE of another design that has such keys, if it is a known one."""
    keys = "\n".join(f"{key}:{tensor.ndim}" for key, tensor in tensors.items())
    fitting = (name for name, key in STRANGERS.items() if re.search(key, keys, re.MULTILINE))
    return next(fitting, None)


def is_sd_vae(tensors: Mapping[str, Tensor]) -> bool:
    """Tell whether these are a 2D VAE's, in LDM or diffusers names."""
    coders = {"encoder.conv_in.weight", "decoder.conv_in.weight"} <= set(tensors)
    return coders and all(tensor.ndim < 5 for tensor in tensors.values())


def order_weights(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """The suffixes of weights as the authors' loaders choose among them: OD-VAE's takes a .ckpt first, diffusers safetensors."""
    first = (".ckpt", ".safetensors") if is_odvae_config(fields) else (".safetensors", ".ckpt")
    return (*first, ".bin", ".pth", ".pt")


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
