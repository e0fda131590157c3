"""Servers for the whole session: a ComfyUI with small models, and one with the files of the
workflows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import odvae_core
from odvae_core.families.cvvae_config import CVVAE
from odvae_core.registry import read_config
from tests.comfyui.server import Server, find_comfyui

OD = {"width": 32, "blocks": 1}
CV = {"levels": tuple(replace(level, channels=32) for level in CVVAE.levels), "blocks": 1}
WF = {"width": 8, "encoder_flow": 8, "decoder_flow": 8, "blocks": 1}
OPS = {"image_widths": (32, 32, 32, 32), "image_blocks": 1, "width": 32, "blocks": 1}
MODELS = {
    "stream.safetensors": ("odvae-stream", OD),
    "clip.safetensors": ("odvae-v1.2", OD),
    "cvvae.safetensors": ("cvvae", CV),
    "ivvae.safetensors": ("ivvae-z4", {"width": 8, "blocks": 1}),
    "wfvae.safetensors": ("wfvae-s4", WF),
    "opsvae.safetensors": ("opsvae-v1.2", OPS),
}


def make_network(preset: str, changes: dict[str, Any] = OD) -> odvae_core.VideoVAE:
    """A narrow network of a preset; its random weights are the same every time."""
    torch.manual_seed(0)
    return odvae_core.build(replace(read_config(preset), **changes))


@pytest.fixture(scope="session")
def networks(tmp_path_factory):
    """The models by file name, as the core loads them, in float32."""
    folder = tmp_path_factory.mktemp("models")
    for name, design in MODELS.items():
        odvae_core.save(make_network(*design), folder / name)
    return {name: odvae_core.load(folder / name) for name in MODELS}


@pytest.fixture(scope="session")
def comfy(tmp_path_factory, networks):
    """A running ComfyUI, or a skip with the reason."""
    server = make_server(tmp_path_factory.mktemp("comfyui"))
    for name, network in networks.items():
        odvae_core.save(network, server.base / "models/vae" / name)
    yield from run_server(server)


@pytest.fixture(scope="session")
def parent(comfy):
    """A narrow 2D VAE in models/vae, and inside a checkpoint."""
    tensors = make_network("sd-vae").state_dict()
    save_file(tensors, comfy.base / "models/vae/sd.safetensors")
    inside = {f"first_stage_model.{name}": weight for name, weight in tensors.items()}
    inside["model.diffusion_model.out.2.bias"] = torch.zeros(4)
    save_file(inside, comfy.base / "models/checkpoints/whole.safetensors")
    return comfy.base / "models/vae/sd.safetensors"


@pytest.fixture(scope="session")
def workflow_server(tmp_path_factory):
    """A running ComfyUI with the files that the workflows need, or a skip with the reason."""
    from tests.comfyui.workflow_files import write_workflow_files  # which imports from here

    server = make_server(tmp_path_factory.mktemp("stage"))
    write_workflow_files(server)
    yield from run_server(server)


def make_server(base: Path) -> Server:
    comfyui, reason = find_comfyui()
    if comfyui is None:
        pytest.skip(reason)
    return Server(comfyui, base)


def run_server(server: Server) -> Iterator[Server]:
    try:
        server.start()
        yield server
    finally:
        server.stop()
