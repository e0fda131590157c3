"""Run ComfyUI's own VAE classes on the cases of tests/lineage.py, in float64.

`COMFYUI/.venv/bin/python -m tests.lineage_reference COMFYUI FOLDER` writes a file for
each case: `names`, a hash of the weights' names and shapes, in its metadata; `mean` and `video`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.lineage import CONFIGS, fill, hash_names, make_inputs, thin

TIME = {"temperal_downsample": [False, True, True]}


def make_wan_2_1() -> torch.nn.Module:
    from comfy.ldm.wan.vae import WanVAE  # pyright: ignore[reportMissingImports]

    return WanVAE(dim=8, z_dim=4, **TIME)


def make_wan_2_2() -> torch.nn.Module:
    from comfy.ldm.wan.vae2_2 import WanVAE  # pyright: ignore[reportMissingImports]

    return WanVAE(dim=8, dec_dim=12, z_dim=4, **TIME)


NETWORKS: dict[str, Callable[[], torch.nn.Module]] = {
    "wan-2.1": make_wan_2_1,
    "wan-2.2": make_wan_2_2,
}


def prepare(comfyui: str) -> None:
    """Make ComfyUI's modules importable, to run on the CPU."""
    sys.path.append(comfyui)
    sys.argv = [sys.argv[0], "--cpu"]
    import comfy.options  # pyright: ignore[reportMissingImports]

    comfy.options.enable_args_parsing()


@torch.no_grad()
def write_case(name: str, folder: Path) -> None:
    """One case, whole, in float64."""
    network = fill(NETWORKS[name]())
    video, latent = make_inputs(name)
    outputs = {"mean": network.encode(video), "video": thin(network.decode(latent))}
    tensors = {key: value.contiguous() for key, value in outputs.items()}
    save_file(tensors, folder / f"{name}.safetensors", {"names": hash_names(network)})


if __name__ == "__main__":
    comfyui, output = sys.argv[1:]
    prepare(comfyui)
    Path(output).mkdir(parents=True, exist_ok=True)
    for case in CONFIGS:
        write_case(case, Path(output))
