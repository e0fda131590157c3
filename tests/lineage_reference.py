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


def make_hunyuan() -> torch.nn.Module:
    """Without its roll: the whole clip at once, with ComfyUI's attention, which has no mask."""
    from comfy.ldm.models.autoencoder import AutoencoderKL  # pyright: ignore[reportMissingImports]

    sizes = {"ch": 32, "ch_mult": [1, 1, 2, 2], "num_res_blocks": 1, "resolution": 256}
    channels = {"z_channels": 4, "in_channels": 3, "out_ch": 3, "double_z": True}
    design = {"attn_resolutions": [], "conv3d": True, "time_compress": 4}
    network = AutoencoderKL(ddconfig=sizes | channels | design, embed_dim=4)
    network.encoder.carried = network.decoder.carried = False
    return network


def make_hunyuan15() -> torch.nn.Module:
    """Both coders, without ComfyUI's layers in them that no file has."""
    from comfy.ldm.hunyuan_video import vae_refiner  # pyright: ignore[reportMissingImports]

    sizes = {"block_out_channels": (8, 16, 16, 32, 32), "num_res_blocks": 1, "z_channels": 4}
    design = {"ffactor_spatial": 16, "ffactor_temporal": 4}
    network = torch.nn.Module()
    network.encoder = vae_refiner.Encoder(in_channels=3, **sizes, **design)
    network.decoder = vae_refiner.Decoder(out_channels=3, **sizes, **design)
    for name, block in list(network.named_modules()):
        if name.endswith((".mid.block_1", ".mid.block_2")):
            del block.temb_proj
    network.encoder.regul = Mean()
    network.encode = lambda video: network.encoder(video)
    network.decode = lambda latent: network.decoder(latent)
    return network


class Mean(torch.nn.Module):
    """The mean of moments, where ComfyUI draws a sample."""

    def forward(self, moments: torch.Tensor) -> tuple[torch.Tensor]:
        return (moments.chunk(2, dim=1)[0],)


NETWORKS: dict[str, Callable[[], torch.nn.Module]] = {
    "wan-2.1": make_wan_2_1,
    "wan-2.2": make_wan_2_2,
    "hunyuan-1.0": make_hunyuan,
    "hunyuan-1.5": make_hunyuan15,
}


def prepare(comfyui: str) -> None:
    """Make ComfyUI's modules importable, to run on the CPU."""
    sys.path.append(comfyui)
    sys.argv = [sys.argv[0], "--cpu"]
    import comfy.options  # pyright: ignore[reportMissingImports]

    comfy.options.enable_args_parsing()
    torch.set_num_threads(1)


def encode(network: torch.nn.Module, video: torch.Tensor) -> torch.Tensor:
    """The mean; some classes would draw a sample."""
    if not hasattr(network, "quant_conv"):
        return network.encode(video)
    return network.quant_conv(network.encoder(video)).chunk(2, dim=1)[0]


@torch.no_grad()
def write_case(name: str, folder: Path) -> None:
    """One case, whole, in float64."""
    network = fill(NETWORKS[name]())
    video, latent = make_inputs(name)
    outputs = {"mean": encode(network, video), "video": thin(network.decode(latent))}
    tensors = {key: value.contiguous() for key, value in outputs.items()}
    save_file(tensors, folder / f"{name}.safetensors", {"names": hash_names(network)})


if __name__ == "__main__":
    comfyui, output = sys.argv[1:]
    prepare(comfyui)
    Path(output).mkdir(parents=True, exist_ok=True)
    for case in CONFIGS:
        write_case(case, Path(output))
