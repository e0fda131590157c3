"""Test vectors made by the authors' code: a few in tests/data/golden, all beside a checkout.

Weights are not stored: each tensor follows from its name and shape by the rule in `weight`.
"""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

import odvae_core as odvae
from odvae_core import VideoVAE

HERE = Path(__file__).parent
SHARED = HERE.parent.parent / "shared"
FOLDERS = (
    SHARED / "golden",
    SHARED / "golden_diffusion",
    SHARED / "golden_baselines",
    HERE / "data" / "golden",
    HERE / "data" / "golden_diffusion",
)


def find_cases(prefix: str) -> list[str]:
    """The names of the cases that start with `prefix`, wherever they lie."""
    return sorted({path.stem for folder in FOLDERS for path in folder.glob(f"{prefix}*.json")})


def read_case(name: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A case's description and its tensors (none for a list of keys)."""
    path = next(folder / f"{name}.json" for folder in FOLDERS if (folder / f"{name}.json").exists())
    tensors = path.with_suffix(".safetensors")
    return json.loads(path.read_text()), load_file(tensors) if tensors.exists() else {}


def make_weights(case: dict[str, Any]) -> dict[str, Tensor]:
    """The state dict of a case; `fixed` are given as numbers."""
    salt, fixed = case.get("weight_salt", ""), case.get("fixed") or {}
    return {
        key: torch.tensor(fixed[key]).reshape(shape)
        if key in fixed
        else weight(key, tuple(shape), salt)
        for key, shape in case["keys"]
    }


def build_case(case: dict[str, Any]) -> VideoVAE:
    """The model of a case, with its weights."""
    vae = odvae.build(case["config"]).eval().requires_grad_(False)
    vae.load_state_dict(make_weights(case))
    return vae


def build_empty(case: dict[str, Any]) -> VideoVAE:
    """The model of a case without memory for its weights, for full sizes."""
    with torch.device("meta"):
        return odvae.build(case["config"])


def check_keys(vae: VideoVAE, case: dict[str, Any]) -> None:
    """Names, shapes and the number of parameters are the published ones."""
    shapes = {key: list(value.shape) for key, value in vae.state_dict().items()}
    assert shapes == dict(map(tuple, case["keys"]))
    assert sum(weight.numel() for weight in vae.parameters()) == case["total_params"]


def draw_haar(key: str) -> Tensor:
    """The filter of WF-VAE's wavelets that a key names: + or - along each axis."""
    name = [part for part in key.split(".") if part not in ("weight", "conv")][-1]
    stem, time = name.removesuffix("_conv").removesuffix("_v"), name.removesuffix("_conv")
    flat = {"aa": (0, 0), "ad": (1, 0), "da": (0, 1), "dd": (1, 1)}
    if stem in flat:
        high, factor = flat[stem], 0.5
    else:
        high = (time.endswith("_v"), stem in ("hh", "gh"), stem in ("g", "gh"))
        factor = 0.3536
    signs = torch.tensor([factor])
    for axis in high:
        signs = torch.stack([signs, -signs if axis else signs], dim=-1)
    return signs


def weight(key: str, shape: tuple[int, ...], salt: str = "") -> Tensor:
    """A standard normal draw seeded by the name's hash, scaled by what the name says it is."""
    seed = int.from_bytes(hashlib.sha256((salt + key).encode()).digest()[:4], "little")
    draw = np.random.Generator(np.random.PCG64(seed))
    if "wavelet_tran" in key:
        return draw_haar(key).reshape(shape)
    value = torch.from_numpy(draw.standard_normal(math.prod(shape), dtype=np.float32))
    *_, owner, leaf = f"..{key}".split(".")
    match leaf:
        case "num_batches_tracked":
            value = torch.zeros(1, dtype=torch.int64)
        case "running_mean":
            value = 0.1 * value
        case "running_var":
            value = 0.4 + 0.2 * value.abs()
        case "embeddings":
            value = 0.25 * value
        case "weight" if "convt" in owner:
            value = value / math.sqrt(8 * shape[0])
        case "weight" if len(shape) == 1:
            value = 1 + 0.1 * value
        case "gamma":
            value = 1 + 0.1 * value
        case "mix_factor":
            value = 0.5 * value
        case "weight" if "norm" in owner:
            value = 1 + 0.1 * value
        case "bias" if "norm" in owner:
            value = 0.05 * value
        case "bias":
            value = 0.02 * value
        case "weight" if len(shape) >= 2:
            value = value / math.sqrt(math.prod(shape[1:]))
        case _:
            value = 0.5 * value
    return value.reshape(shape)
