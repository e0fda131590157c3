"""How published files lay out a VAE's weights, and whose they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from .odvae import is_odvae_config

SECTIONS = {
    "ema": ("ema_state_dict.",),
    "raw": ("state_dict.gen_model.", "gen_model.", "state_dict.", ""),
}
"""Where a file keeps its averaged and its last weights; the first that is there counts."""

WRAPPERS = re.compile(r"(^|\.)(module|_orig_mod)\.")
"""What DistributedDataParallel and torch.compile write into the names."""

OWNERS = ("first_stage_model.", "vae.")
"""What the VAE is called within a diffusion model."""

EXTRAS = re.compile(r"^(\w*loss\w*|dics_model|disc_model|discriminator|model_ema)\.")
"""What a trainer keeps beside the VAE."""

STRANGERS = {
    "WF-VAE": r"^(en|de)coder\.(connect_l|down|up)\d\.",
    "LTX-Video": r"^per_channel_statistics\.|^latents_mean:|\.res_blocks\.\d+\.conv1\.conv\."
    r"|\.timestep_scale_multiplier:",
    "CogVideoX": r"\.norm_layer\.weight:",
    "Wan": r"^encoder\.conv1\.weight:5|\.residual\.\d\.weight:5"
    r"|\.(down_blocks|resnets)\.\d+\.norm1\.gamma:",
    "HunyuanVideo": r"^post_quant_conv\.weight:5|\.resnets\.\d+\.conv1\.conv\.weight:5"
    r"|\.block_1\.norm1\.gamma:",
}
"""VAEs of other designs, by a key's name and number of dimensions; the first that fits counts."""


def select_weights(tensors: Mapping[str, Tensor], weights: str) -> tuple[dict[str, Tensor], str]:
    """The VAE's weights within a file's tensors, by their plain names, and the section they lay in.

    `weights` is "ema" (the averaged ones where the file has them) or "raw". Raises `ValueError`
    where the file has none, or no raw ones.
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
    if tensors:
        raise ValueError("it holds averaged (EMA) weights only; ask for weights='ema'")
    raise ValueError("it holds no tensors: give a file of weights")


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


def order_weights(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """The suffixes of weights in the order in which the authors' loaders choose among a folder's.

    OD-VAE's takes a .ckpt before anything else; the others are diffusers', which takes safetensors.
    """
    first = (".ckpt", ".safetensors") if is_odvae_config(fields) else (".safetensors", ".ckpt")
    return (*first, ".bin", ".pth", ".pt")
