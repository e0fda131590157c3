"""The diffusion models' test vectors, made by the authors' code; they lie beside a checkout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from odvae_core import diffusion
from odvae_core.diffusion import Network
from tests.golden import make_weights

FOLDER = Path(__file__).parents[3] / "shared" / "golden_diffusion"


def find_cases(*prefixes: str) -> list[str]:
    """The names of the whole-network cases that start with any of the prefixes."""
    names = sorted(path.stem for path in FOLDER.glob("*.safetensors"))
    parts = ("_mod_", "_sample_", "_train_", "cachebug")
    wanted = (name for name in names if name.startswith(prefixes))
    return [name for name in wanted if not any(part in name for part in parts)]


def read_case(name: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A case's description and its tensors (none for a list of keys)."""
    path = FOLDER / f"{name}.json"
    tensors = path.with_suffix(".safetensors")
    return json.loads(path.read_text()), load_file(tensors) if tensors.exists() else {}


def read_fields(case: dict[str, Any]) -> dict[str, Any]:
    """A case's configuration; that of v1.1 gets a field by which its config.json is told."""
    v11 = {"compress_kv_factor": 1} if case["case"].startswith("lt110") else {}
    return {**case["config"], **v11}


def build_case(case: dict[str, Any]) -> Network:
    """The network of a case, with its weights."""
    network = diffusion.build(read_fields(case), case["system"]).eval().requires_grad_(False)
    fixed = case["runtime"].get("fixed_sincos_keys") or []
    own = network.state_dict()
    weights = make_weights(case)
    network.load_state_dict(weights | {key: own[key] for key in fixed})
    return network


def run_case(network: Network, case: dict[str, Any], tensors: dict[str, Tensor]) -> Tensor:
    """The network's output for a case's inputs."""
    x, timestep = tensors["x"], tensors["timestep"]
    with torch.inference_mode():
        if case["system"] == "latte":
            return network(x, timestep, tensors["y"].long() if "y" in tensors else None)
        names = ("context", "context_mask", "pad_mask")
        return network(x, timestep, **{name: tensors[name] for name in names if name in tensors})
