"""The files that the workflows need, in small: a sample clip and models of Stable Diffusion."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import torch
from safetensors.torch import save_file

import odvae_core
from odvae_core.families.wan_config import WanConfig
from odvae_core.video import VideoWriter, read_video
from tests.comfyui.conftest import CV, make_network
from tests.comfyui.server import ROOT, Server

SMALL_MODELS = Path(__file__).parent / "small_models"
SAMPLE = "input/sample.mp4"
VAE = "models/vae/vae-ft-mse-840000-ema-pruned.safetensors"
CVVAE = "models/vae/cvvae.safetensors"
CHECKPOINTS = (
    "models/checkpoints/svd.safetensors",
    "models/checkpoints/v1-5-pruned-emaonly-fp16.safetensors",
)
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
"""Input values that the tests replace in the workflows; all others are unchanged."""


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


def list_workflows() -> list[str]:
    """The names of all workflows, `latents_from_disk` after the one that writes its file."""
    return sorted((path.stem for path in WORKFLOWS.glob("*.json")), reverse=True)


def read_prompt(name: str) -> dict[str, dict]:
    """A workflow in API form, with the values of `SMALL`."""
    prompt = json.loads((WORKFLOWS / "api" / f"{name}.json").read_text())
    for node in prompt.values():
        node["inputs"] |= {key: SMALL[key] for key in SMALL if key in node["inputs"]}
    return prompt
