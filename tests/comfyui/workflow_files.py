"""The files that the workflows need, in small: a sample clip and models of Stable Diffusion."""

from __future__ import annotations

import json
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

import odvae_core
from odvae_core import diffusion
from odvae_core.diffusion import LatteConfig, LatteT2VConfig, OpenSoraT2VConfig
from odvae_core.families.wan_config import WanConfig
from odvae_core.video import VideoWriter, read_video
from tests.checkpoints import build_small
from tests.comfyui.conftest import CV, make_network
from tests.comfyui.server import ROOT, Server, find_python

SMALL_MODELS = Path(__file__).parent / "small_models"
SAMPLE = "input/sample.mp4"
VAE = "models/vae/vae-ft-mse-840000-ema-pruned.safetensors"
CVVAE = "models/vae/cvvae.safetensors"
CHECKPOINTS = (
    "models/checkpoints/svd.safetensors",
    "models/checkpoints/v1-5-pruned-emaonly-fp16.safetensors",
)
T5 = "models/text_encoders/t5xxl_fp16.safetensors"
MT5 = "models/text_encoders/mt5-xxl.bin"
VAE_V11, VAE_V12 = "models/vae/osp-v1.1-vae.safetensors", "models/vae/osp-v1.2-vae.ckpt"
SIZE = {"layers": 2, "heads": 2, "head_dim": 12, "caption_channels": 32}
DIFFUSION_MODELS = {
    "osp-v1.1-65x512x512": LatteT2VConfig(**SIZE),
    "osp-v1.2-29x480p": OpenSoraT2VConfig(**SIZE, latent_frames=8),
    "osp-v1.2-93x720p": OpenSoraT2VConfig(**SIZE, sample_size=(90, 160), scales=(1.0, 1.5, 2.0)),
    "latte": LatteConfig(
        in_channels=16, layers=2, heads=2, head_dim=12, latent_frames=5, side=8, classes=4
    ),
}
"""Narrow networks by the name of their file in models/diffusion_models."""
COMFYUI_VAES = (
    "wan_2.1_vae.safetensors",
    "wan2.2_vae.safetensors",
    "hunyuan_video_vae_bf16.safetensors",
)
"""What the workflows with ComfyUI's Load VAE name; here all are narrow ones of Wan 2.1, which its
loader takes in any width."""

WORKFLOWS = ROOT / "workflows"
FRAMES, HEIGHT, WIDTH = 13, 48, 64
SMALL = {"width": WIDTH, "height": HEIGHT, "video_frames": 3, "steps": 2}
"""Input values that the tests replace in all workflows; all others are unchanged."""

SMALL_OF = {
    "text_to_video_v1_1": {"preset": "auto", "steps": 4},
    "text_to_video_v1_2_480p": {"preset": "auto"},
    "text_to_video_v1_2_720p": {"preset": "auto"},
    "video_to_video_v1_2": {"preset": "auto"},
    "class_to_video_with_latte": {"model": "latte.safetensors", "height": 64},
}
"""More values of single workflows: the narrow networks are of no preset."""


def write_workflow_files(server: Server) -> None:
    """Write a part of the sample clip and narrow 2D VAEs, and link their loaders."""
    clip = read_video(ROOT / "assets/sample.mp4")[:, :, :FRAMES, 72 : 72 + HEIGHT, 96 : 96 + WIDTH]
    with VideoWriter(server.base / SAMPLE, (HEIGHT, WIDTH), Fraction(24)) as writer:
        writer.write(clip)
    (server.base / "custom_nodes/small_models").symlink_to(SMALL_MODELS, target_is_directory=True)
    tensors = make_network("sd-vae").state_dict()
    save_file(tensors, server.base / VAE)
    odvae_core.save(make_network("cvvae", CV), server.base / CVVAE)
    inside = {f"first_stage_model.{name}": weight for name, weight in tensors.items()}
    inside["model.diffusion_model.out.2.bias"] = torch.zeros(4)
    for checkpoint in CHECKPOINTS:
        save_file(inside, server.base / checkpoint)
    wan = odvae_core.build(WanConfig(width=16, decoder_width=16))
    for file in COMFYUI_VAES:
        save_file(wan.state_dict(), server.base / "models/vae" / file)
    write_diffusion_files(server)


def write_diffusion_files(server: Server) -> None:
    """Write narrow diffusion models with their VAEs, and an mT5 with its tokenizer."""
    odvae_core.save(build_small("odvae-v1.1"), server.base / VAE_V11)
    weights = build_small("odvae-v1.2").state_dict()
    averaged = {f"module.{key}": weight for key, weight in weights.items()}
    torch.save({"ema_state_dict": averaged}, server.base / VAE_V12)
    for name, config in DIFFUSION_MODELS.items():
        torch.manual_seed(0)
        target = server.base / f"models/diffusion_models/{name}.safetensors"
        diffusion.save(diffusion.build(config), target)
    (server.base / MT5).parent.mkdir(exist_ok=True)
    made = server.base / "mt5"
    made.mkdir()
    command = [find_python(server.comfyui), Path(__file__).with_name("make_mt5.py"), made]
    subprocess.run(command, check=True, capture_output=True)
    torch.save(load_file(made / "mt5.safetensors"), server.base / MT5)
    save_file({"shared.weight": torch.zeros(1)}, server.base / T5)  # never read
    shutil.copy(made / "spiece.model", (server.base / MT5).parent)


def list_workflows() -> list[str]:
    """The names of all workflows, `latents_from_disk` after the one that writes its file."""
    return sorted((path.stem for path in WORKFLOWS.glob("*.json")), reverse=True)


def small_values(name: str) -> dict[str, object]:
    """The input values that the tests replace in a workflow."""
    return SMALL | SMALL_OF.get(name, {})


def read_prompt(name: str) -> dict[str, dict]:
    """A workflow in API form, with small values."""
    prompt, values = (
        json.loads((WORKFLOWS / "api" / f"{name}.json").read_text()),
        small_values(name),
    )
    for node in prompt.values():
        node["inputs"] |= {
            key: values[key]
            for key in values
            if key in node["inputs"] and not isinstance(node["inputs"][key], list)
        }
    return prompt
