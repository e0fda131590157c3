"""The embedded model, odvae_core/weights/default.safetensors."""

from pathlib import Path

import pytest
import torch

import odvae_core as odvae
from odvae_core.metrics import psnr
from odvae_core.video import read_video

SAMPLE = Path(__file__).resolve().parents[2] / "assets" / "sample.mp4"
LARGEST_FLOAT16 = torch.finfo(torch.float16).max


@pytest.fixture(scope="module")
def clip():
    return read_video(SAMPLE, frames=5, crop=32)


def test_no_activation_comes_near_the_end_of_float16(clip):
    vae, largest = odvae.load("default"), []

    def note(module, inputs, output):
        largest.extend(tensor.abs().max().item() for tensor in (inputs[0], output))

    for module in vae.modules():
        if not list(module.children()):
            module.register_forward_hook(note)
    vae(clip)
    assert len(largest) > 100
    assert max(largest) < LARGEST_FLOAT16 / 32


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float16, 65), (torch.bfloat16, 45)])
def test_half_precision_gives_what_float32_gives(clip, dtype, bound):
    exact, rounded = odvae.load("default"), odvae.load("default", dtype=dtype)
    latent = exact.encode(clip).mean
    assert psnr(rounded.decode(latent), exact.decode(latent)).min() > bound
    assert psnr(rounded(clip), exact(clip)).min() > bound
