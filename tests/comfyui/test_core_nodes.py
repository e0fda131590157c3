"""What Load OD-VAE returns works in ComfyUI's own VAE nodes."""

import pytest
import torch

from tests.comfyui.graph import Graph
from tests.comfyui.tensors import CLOSE, make_frames, to_video

pytestmark = pytest.mark.comfyui


def run_core(comfy, kind, checkpoint, image=None, samples=None, load=(), **inputs):
    """One core VAE node on a tensor -> its run and what came out."""
    graph = Graph()
    vae = graph.add("ODVAELoad", checkpoint=checkpoint, **dict(load))
    if image is not None:
        given = {"pixels": graph.add("TestImage", file=comfy.put(image))}
    else:
        given = {"samples": graph.add("TestLatent", file=comfy.put(samples))}
    node = graph.add(kind, vae=vae, **given, **inputs)
    graph.add("TestDump", value=node, name="core")
    run = comfy.run(graph)
    assert run.status == "success", run.message
    return run, comfy.take("core")


@pytest.mark.parametrize("checkpoint", ["stream.safetensors", "clip.safetensors"])
@pytest.mark.parametrize("frames", [1, 17])
def test_vae_encode_gives_the_mean_of_the_core(comfy, networks, checkpoint, frames):
    image = make_frames(frames)
    _, latent = run_core(comfy, "VAEEncode", checkpoint, image=image)
    torch.testing.assert_close(latent, networks[checkpoint].encode(to_video(image)).mode(), **CLOSE)
