"""Write checkpoints of Stable Diffusion 1.5 and SVD in full size, with random weights, in fp16.

PYTHON make_full_size.py sd15|svd FILE        (in ComfyUI's folder, with ComfyUI's interpreter)

The networks are ComfyUI's own, with the keys of the published files, so that its loaders detect
them. SVD's own VAE is replaced by the image VAE, whose encoder is the same.
"""

# ruff: noqa: E402 - the CPU must be selected before the rest of ComfyUI is imported
import importlib.util
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path.cwd()))
import comfy.cli_args

comfy.cli_args.args.cpu = True  # before anything searches for a GPU

import comfy.clip_vision
import comfy.sd
import comfy.sd1_clip
import comfy.supported_models
from comfy.ldm.models.autoencoder import AutoencoderKL
from comfy.supported_models_base import ClipTarget

spec = importlib.util.spec_from_file_location(
    "networks", Path(__file__).parent / "small_models/networks.py"
)
networks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(networks)

UNET = {
    "image_size": 32,
    "out_channels": 4,
    "model_channels": 320,
    "num_res_blocks": [2, 2, 2, 2],
    "channel_mult": [1, 2, 4, 4],
    "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
    "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
    "transformer_depth_middle": 1,
    "use_spatial_transformer": True,
    "legacy": False,
}
VISION = "conditioner.embedders.0.open_clip.model.visual."


def make_sd15() -> dict[str, torch.nn.Module]:
    """The parts of Stable Diffusion 1.5 by the prefix that its file gives them."""
    config = comfy.supported_models.SD15(UNET | networks.IMAGE | {"context_dim": 768})
    target = ClipTarget(comfy.sd1_clip.SD1Tokenizer, comfy.sd1_clip.SD1ClipModel)
    text = comfy.sd.CLIP(target).cond_stage_model.clip_l.transformer
    unet = config.get_model({}, "", networks.CPU).diffusion_model
    return {"model.diffusion_model.": unet, "cond_stage_model.transformer.": text} | make_vae()


def make_svd() -> dict[str, torch.nn.Module]:
    """The parts of Stable Video Diffusion by the prefix that its file gives them."""
    config = comfy.supported_models.SVD_img2vid(UNET | networks.VIDEO | {"context_dim": 1024})
    vision = comfy.clip_vision.ClipVisionModel("comfy/clip_vision_config_h.json").model
    unet = config.get_model({}, "", networks.CPU).diffusion_model
    return {"model.diffusion_model.": unet, VISION: vision} | make_vae()


def make_vae() -> dict[str, torch.nn.Module]:
    config = networks.VAE | {"ch": 128, "num_res_blocks": 2}
    return {"first_stage_model.": AutoencoderKL(ddconfig=config, embed_dim=4)}


def main(kind: str, file: str) -> None:
    """Write the checkpoint of this kind, one network at a time to limit the memory."""
    parts = {"sd15": make_sd15, "svd": make_svd}[kind]()
    tensors = {}
    for prefix in list(parts):
        network = networks.set_weights(parts.pop(prefix)).half()
        tensors |= {f"{prefix}{name}": weight for name, weight in network.state_dict().items()}
    save_file({name: weight.contiguous() for name, weight in tensors.items()}, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
