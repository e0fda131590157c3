"""ComfyUI's own VAE classes, with networks of a few thousand weights."""

from __future__ import annotations

import comfy.model_management as mm
import comfy.model_patcher
import comfy.sd
import torch
from comfy.ldm.models.autoencoder import AutoencoderKL
from comfy.ldm.wan.vae import WanVAE


class SmallVae(comfy.sd.VAE):
    """What ComfyUI makes of a file of this kind, with a network of a few thousand weights."""

    def __init__(self, kind: str):
        super().__init__(sd={})
        makers = {"wan": make_wan, "hunyuan": make_hunyuan, "image": make_image_vae}
        network, self.latent_channels = makers[kind]()
        if kind != "image":
            self.latent_dim = 3
            self.upscale_ratio = (lambda frames: max(0, frames * 4 - 3), 8, 8)
            self.downscale_ratio = (lambda frames: max(0, (frames + 3) // 4), 8, 8)
            self.upscale_index_formula = self.downscale_index_formula = (4, 8, 8)
        self.first_stage_model = set_weights(network).eval().requires_grad_(False)
        self.device, self.output_device = mm.vae_device(), mm.intermediate_device()
        self.vae_dtype = torch.float32
        self.patcher = comfy.model_patcher.ModelPatcher(
            network, load_device=self.device, offload_device=mm.vae_offload_device()
        )


def make_wan() -> tuple[torch.nn.Module, int]:
    return WanVAE(dim=16, z_dim=16, temperal_downsample=[False, True, True], num_res_blocks=1), 16


def make_hunyuan() -> tuple[torch.nn.Module, int]:
    return AutoencoderKL(ddconfig=make_config(16, conv3d=True, time_compress=4), embed_dim=16), 16


def make_image_vae() -> tuple[torch.nn.Module, int]:
    return AutoencoderKL(ddconfig=make_config(4), embed_dim=4), 4


def make_config(channels: int, **more: object) -> dict[str, object]:
    return {
        "double_z": True,
        "z_channels": channels,
        "resolution": 256,
        "in_channels": 3,
        "out_ch": 3,
        "ch": 32,
        "ch_mult": [1, 1, 1, 1],
        "num_res_blocks": 1,
        "attn_resolutions": [],
        "dropout": 0.0,
        **more,
    }


def set_weights(network: torch.nn.Module) -> torch.nn.Module:
    """The same random weights every time; ComfyUI's layers come uninitialised."""
    generator = torch.Generator().manual_seed(0)
    for name, weight in network.named_parameters():
        if weight.ndim < 2 or name.endswith("gamma"):
            torch.nn.init.constant_(weight, 0.0 if name.endswith("bias") else 1.0)
        else:
            scale = (weight.numel() / weight.shape[0]) ** -0.5
            weight.data = torch.randn(weight.shape, generator=generator) * scale
    return network
