"""The sections and prefixes under which published files store a VAE's weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from .odvae import is_odvae_config

SECTIONS: dict[str, tuple[str, ...]] = {
    "ema": ("ema_state_dict.",),
    "raw": ("state_dict.gen_model.", "gen_model.", "state_dict.", ""),
}
"""The prefixes of averaged and of last weights; the first one found is used."""

WRAPPERS = re.compile(r"(?<![^.])(?<!spatial_vae\.)(module|_orig_mod)\.")
"""The prefixes that DistributedDataParallel and torch.compile add to names.

OPS-VAE's own names hold `spatial_vae.module.`.
"""

OWNERS = ("first_stage_model.", "vae.")
"""The VAE's prefixes within a diffusion model's checkpoint."""

CONFIG_KEY = "odvae_config"
"""The name of a uint8 tensor with our metadata as JSON, in files written by other programs."""

EXTRAS = re.compile(r"^(\w*loss\w*|dics_model|disc_model|discriminator|model_ema)\.")
"""Weights that a trainer stores beside the VAE's."""

CONSTANTS = re.compile(r"^(en|de)coder\.(inverse_)?wavelet_trans?form_(in|out|l1|l2)\.")
"""The fixed filters of WF-VAE's wavelets, as Open-Sora-Plan v1.3.1 and its authors spell them.

They are in the code here; files of averaged weights lack them.
"""


def select_weights(tensors: Mapping[str, Tensor], weights: str) -> tuple[dict[str, Tensor], str]:
    """The VAE's weights within a file's tensors, by their plain names, and their section.

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
            return unwrap(inside), section.rstrip(".")
    if tensors:
        raise ValueError("it holds averaged (EMA) weights only; ask for weights='ema'")
    raise ValueError("it holds no tensors: give a file of weights")


def unwrap(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors by names without the prefixes of wrappers.

    Raises `ValueError` where two then have the same name, since either could be meant.
    """
    found: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        name = WRAPPERS.sub("", key)
        if name in found:
            raise ValueError(
                f"it holds {name} twice, with and without a wrapper's name (module., _orig_mod.): "
                "export one of the two"
            )
        found[name] = tensor
    return found


def strip_owner(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The VAE alone: no diffusion model around it, no losses, discriminators or constants.

    ComfyUI uses further prefixes: that of the configuration tensor is taken. Raises `ValueError`
    where there are several.
    """
    shown = [key.removesuffix(CONFIG_KEY) for key in tensors if key.endswith(CONFIG_KEY)]
    if len(shown) > 1:
        raise ValueError(f"it holds {len(shown)} configurations ({CONFIG_KEY}): give one VAE alone")
    known = (name for name in OWNERS if any(key.startswith(name) for key in tensors))
    owner = next(iter((*shown, *known)), "")
    inside = {
        key.removeprefix(owner): tensor for key, tensor in tensors.items() if key.startswith(owner)
    }
    return {
        key: tensor
        for key, tensor in inside.items()
        if not EXTRAS.match(key) and not CONSTANTS.match(key)
    }


def order_weights(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """The suffixes of weights in the order in which the authors' loaders choose among a folder's.

    OD-VAE's loader prefers .ckpt; the others use diffusers', which prefers safetensors.
    """
    first = (".ckpt", ".safetensors") if is_odvae_config(fields) else (".safetensors", ".ckpt")
    return (*first, ".bin", ".pth", ".pt")


def read_size(tensors: Mapping[str, Tensor], key: str, axis: int) -> int:
    """The size of a weight along an axis. Raises `ValueError` where there is none."""
    if key not in tensors:
        raise ValueError(f"its architecture can't be read: {key} is missing")
    return size_of(key, tensors[key], axis)


def size_of(name: str, tensor: Tensor, axis: int) -> int:
    """The size of a tensor along an axis. Raises `ValueError` where it has no such axis, or 0."""
    shape = list(tensor.shape)
    if axis >= len(shape) or not shape[axis]:
        raise ValueError(f"its architecture can't be read: {name} has the shape {shape}")
    return shape[axis]
