"""One ComfyUI for the whole session, with two small models in its folders."""

from __future__ import annotations

import pytest
import torch

import odvae_core
from tests.comfyui.server import Server, find_comfyui

MODELS = {"stream.safetensors": "odvae-tiny", "clip.safetensors": "odvae-v1.2"}


def make_network(preset: str) -> odvae_core.VideoVAE:
    """A narrow network of a preset with the same random weights every time."""
    from dataclasses import replace

    from odvae_core.families.odvae_config import PRESETS

    torch.manual_seed(0)
    return odvae_core.build(replace(PRESETS[preset], width=32, blocks=1))


@pytest.fixture(scope="session")
def networks(tmp_path_factory):
    """The models by file name, as the core loads them, in float32."""
    folder = tmp_path_factory.mktemp("models")
    for name, preset in MODELS.items():
        odvae_core.save(make_network(preset), folder / name)
    return {name: odvae_core.load(folder / name) for name in MODELS}


@pytest.fixture(scope="session")
def comfy(tmp_path_factory, networks):
    """A running ComfyUI, or a skip with the reason."""
    comfyui, reason = find_comfyui()
    if comfyui is None:
        pytest.skip(reason)
    server = Server(comfyui, tmp_path_factory.mktemp("comfyui"))
    for name, network in networks.items():
        odvae_core.save(network, server.base / "models/vae" / name)
    try:
        server.start()
        yield server
    finally:
        server.stop()
