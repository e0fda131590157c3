"""ComfyUI's own VAE classes, with narrow networks."""

from __future__ import annotations

import comfy.model_management as mm
import comfy.model_patcher
import comfy.sd
import torch
from comfy.ldm.models.autoencoder import AutoencoderKL, AutoencodingEngine
from comfy.ldm.wan.vae import WanVAE
from comfy.ldm.wan.vae2_2 import WanVAE as Wan22VAE


class SmallVae(comfy.sd.VAE):
    """What ComfyUI makes of a file of this kind, with a narrow network.

    `state` "patched" adds a patch to a weight, "quantised" makes one a whole number, and "dynamic"
    tells of weights that ComfyUI leaves in their file.
    """

    def __init__(self, kind: str, state: str = "plain"):
        super().__init__(sd={})
        network, self.latent_channels = MAKERS[kind]()
        space = 16 if kind in ("wan22", "hunyuan15") else 8
        if kind != "image":
            self.latent_dim = 3
            self.upscale_ratio = (lambda frames: max(0, frames * 4 - 3), space, space)
            self.downscale_ratio = (lambda frames: max(0, (frames + 3) // 4), space, space)
            self.upscale_index_formula = self.downscale_index_formula = (4, space, space)
        self.first_stage_model = set_weights(network).eval().requires_grad_(False)
        self.device, self.output_device = mm.vae_device(), mm.intermediate_device()
        self.vae_dtype = torch.float32
        patcher = DynamicPatcher if state == "dynamic" else comfy.model_patcher.ModelPatcher
        self.patcher = patcher(
            network, load_device=self.device, offload_device=mm.vae_offload_device()
        )
        name, weight = next(iter(network.named_parameters()))
        if state == "patched":
            self.patcher.add_patches({name: (torch.zeros_like(weight),)})
        if state == "quantised":
            weight.data = weight.data.to(torch.int8)


class DynamicPatcher(comfy.model_patcher.ModelPatcher):
    """Says that it loads layer by layer, and can't load at all."""

    def is_dynamic(self) -> bool:
        return True

    def set_in_use_by_current_prompt(self, in_use: bool) -> None:
        """ComfyUI 0.33 tells dynamic patchers so."""

    def load(self, *arguments: object, **options: object) -> None:
        raise AssertionError("a network of ours was to be loaded in its place")


def make_wan() -> tuple[torch.nn.Module, int]:
    return WanVAE(dim=16, z_dim=16, temperal_downsample=[False, True, True], num_res_blocks=2), 16


def make_wan_2_2() -> tuple[torch.nn.Module, int]:
    time = [False, True, True]
    return Wan22VAE(dim=8, dec_dim=8, z_dim=16, temperal_downsample=time, num_res_blocks=1), 16


def make_hunyuan() -> tuple[torch.nn.Module, int]:
    return AutoencoderKL(ddconfig=make_config(16, conv3d=True, time_compress=4), embed_dim=16), 16


def make_hunyuan15() -> tuple[torch.nn.Module, int]:
    sizes = {"block_out_channels": [8, 16, 16, 32, 32], "num_res_blocks": 1, "z_channels": 16}
    design = {"ffactor_spatial": 16, "ffactor_temporal": 4, "in_channels": 3, "out_channels": 3}
    module, empty = "comfy.ldm.hunyuan_video.vae_refiner", "EmptyRegularizer"
    coders = {
        f"{coder.lower()}_config": {"target": f"{module}.{coder}", "params": sizes | design}
        for coder in ("Encoder", "Decoder")
    }
    regularizer = {"target": f"comfy.ldm.models.autoencoder.{empty}"}
    return AutoencodingEngine(regularizer_config=regularizer, **coders), 16


def make_image_vae() -> tuple[torch.nn.Module, int]:
    return AutoencoderKL(ddconfig=make_config(4), embed_dim=4), 4


MAKERS = {
    "wan": make_wan,
    "wan22": make_wan_2_2,
    "hunyuan": make_hunyuan,
    "hunyuan15": make_hunyuan15,
    "image": make_image_vae,
}


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
