"""A small model and a clip, written once per module."""

import pytest
import torch

import odvae_core as odvae
from tests.commands.calls import TIMES, call, draw_clip, write_clip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="module")
def checkpoint(folder):
    torch.manual_seed(0)
    path = folder / "tiny.safetensors"
    odvae.save(odvae.build("odvae-tiny"), path)
    return path


@pytest.fixture(scope="module")
def vae(checkpoint):
    return odvae.load(checkpoint)


@pytest.fixture(scope="module")
def clip(folder):
    """Seven frames of 20x36 at a varying rate; the encoder takes neither."""
    path = folder / "clip.mp4"
    write_clip(path, draw_clip(7, 20, 36), TIMES)
    return path


@pytest.fixture
def latents(tmp_path, checkpoint, clip):
    path = tmp_path / "clip.safetensors"
    assert call("encode", clip, path, "--checkpoint", checkpoint) == 0
    return path
