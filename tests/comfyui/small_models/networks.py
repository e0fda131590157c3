"""Stable Diffusion 1.5 and Stable Video Diffusion from ComfyUI's own classes, narrow and random."""

from __future__ import annotations

from pathlib import Path

import comfy.clip_vision
import comfy.model_management as mm
import comfy.model_patcher
import comfy.sd
import comfy.sd1_clip
import comfy.supported_models
import comfy.text_encoders.genmo
import torch
from comfy.ldm.models.autoencoder import AutoencoderKL
from comfy.supported_models_base import ClipTarget

CPU = torch.device("cpu")
CONTEXT = 32
UNET = {
    "image_size": 32,
    "out_channels": 4,
    "model_channels": 32,
    "num_res_blocks": [1, 1],
    "channel_mult": [1, 2],
    "transformer_depth": [1, 1],
    "transformer_depth_output": [1, 1, 1, 1],
    "transformer_depth_middle": 1,
    "use_spatial_transformer": True,
    "legacy": False,
    "context_dim": CONTEXT,
}
IMAGE = {
    "in_channels": 4,
    "adm_in_channels": None,
    "use_temporal_attention": False,
    "use_linear_in_transformer": False,
}
VIDEO = {
    "in_channels": 8,
    "num_classes": "sequential",
    "adm_in_channels": 768,
    "use_temporal_attention": True,
    "use_temporal_resblock": True,
    "use_spatial_context": True,
    "extra_ff_mix_layer": True,
    "merge_strategy": "learned_with_images",
    "merge_factor": 0.0,
    "video_kernel_size": [3, 1, 1],
    "use_linear_in_transformer": True,
}
"""What tells the two networks apart, in any size."""

VAE = {
    "double_z": True,
    "z_channels": 4,
    "resolution": 256,
    "in_channels": 3,
    "out_ch": 3,
    "ch": 32,
    "ch_mult": [1, 2, 4, 4],
    "num_res_blocks": 1,
    "attn_resolutions": [],
    "dropout": 0.0,
}
TEXT = {"hidden_size": CONTEXT, "intermediate_size": 64, "num_hidden_layers": 2}
T5 = {"d_model": CONTEXT, "d_ff": 48, "d_kv": 8, "num_heads": 4, "num_layers": 2}
HEADS = {"num_attention_heads": 2}


class SmallSd15(comfy.supported_models.SD15):
    unet_extra_config = {"num_heads": 2, "num_head_channels": -1}  # noqa: RUF012 - as the base has it


class SmallSvd(comfy.supported_models.SVD_img2vid):
    unet_extra_config = {"num_heads": -1, "num_head_channels": 16}  # noqa: RUF012


class SmallImageVae(comfy.sd.VAE):
    """What ComfyUI makes of Stable Diffusion's VAE, of width 32 and one block a level."""

    def __init__(self, tensors: dict[str, torch.Tensor]):
        super().__init__(sd={})
        self.first_stage_model = AutoencoderKL(ddconfig=VAE, embed_dim=4)
        self.first_stage_model.load_state_dict(tensors)
        self.first_stage_model.eval().requires_grad_(False)
        self.device, self.output_device = mm.vae_device(), mm.intermediate_device()
        self.vae_dtype = torch.float32
        self.patcher = patch(self.first_stage_model)


def make_image_unet() -> comfy.model_patcher.ModelPatcher:
    """Stable Diffusion 1.5's network."""
    return make_unet(SmallSd15(UNET | IMAGE))


def make_video_unet() -> comfy.model_patcher.ModelPatcher:
    """Stable Video Diffusion's network."""
    return make_unet(SmallSvd(UNET | VIDEO))


def make_unet(config: comfy.supported_models.SD15) -> comfy.model_patcher.ModelPatcher:
    config.set_inference_dtype(torch.float32, None)
    return patch(set_weights(config.get_model({}, "", CPU)))


def make_text_encoder() -> comfy.sd.CLIP:
    """CLIP with its own vocabulary and two narrow layers."""
    target = ClipTarget(comfy.sd1_clip.SD1Tokenizer, comfy.sd1_clip.SD1ClipModel)
    encoder = comfy.sd.CLIP(target, model_options={"clip_l_model_config": TEXT | HEADS})
    set_weights(encoder.cond_stage_model)
    return encoder


def make_t5() -> comfy.sd.CLIP:
    """T5-XXL as for Mochi, with its own vocabulary and two narrow layers."""
    tokenizer = comfy.text_encoders.genmo.MochiT5Tokenizer
    target = ClipTarget(tokenizer, comfy.text_encoders.genmo.MochiT5XXL)
    encoder = comfy.sd.CLIP(target, model_options={"t5xxl_model_config": T5})
    set_weights(encoder.cond_stage_model)
    return encoder


def make_vision_encoder() -> comfy.clip_vision.ClipVisionModel:
    """CLIP for pictures, with one narrow layer."""
    encoder = comfy.clip_vision.ClipVisionModel(str(Path(__file__).parent / "vision.json"))
    set_weights(encoder.model)
    return encoder


def patch(network: torch.nn.Module) -> comfy.model_patcher.ModelPatcher:
    return comfy.model_patcher.ModelPatcher(
        network, load_device=mm.get_torch_device(), offload_device=CPU
    )


def set_weights(network: torch.nn.Module) -> torch.nn.Module:
    """The same random weights every time; ComfyUI's layers come uninitialised."""
    generator = torch.Generator().manual_seed(0)
    for name, weight in network.named_parameters():
        if weight.ndim < 2:
            torch.nn.init.constant_(weight, 0.0 if name.endswith("bias") else 1.0)
        else:
            scale = (weight.numel() / weight.shape[0]) ** -0.5
            weight.data = torch.randn(weight.shape, generator=generator) * scale
    return network.eval().requires_grad_(False)
