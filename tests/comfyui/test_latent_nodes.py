"""Empty latents, and conversion between batches of latent frames and latent videos."""

import pytest
import torch

from tests.comfyui.graph import Graph
from tests.comfyui.tensors import make_latent

pytestmark = pytest.mark.comfyui


def test_an_empty_latent_is_spelled_in_pixels_and_frames(comfy):
    graph = Graph()
    size = {"width": 100, "height": 64, "frames": 18}
    empty = graph.add("ODVAEEmptyLatent", **size, batch_size=2)
    graph.add("TestDump", value=empty, name="empty")
    vae = graph.add("ODVAELoad", checkpoint="stream.safetensors")
    decoded = graph.add("ODVAETemporalTiledDecode", latent=empty, vae=vae)
    graph.add("TestDump", value=decoded, name="decoded")
    other = graph.add("TestComfyVae", kind="wan")
    sixteen = graph.add("ODVAEEmptyLatent", **size, vae=other)
    graph.add("TestDump", value=sixteen, name="sixteen")
    run = comfy.run(graph)
    assert run.status == "success", run.message
    assert torch.equal(comfy.take("empty"), torch.zeros(2, 4, 6, 8, 13))
    assert comfy.take("decoded").shape == (2 * 18, 64, 100, 3)
    assert comfy.take("sixteen").shape == (1, 16, 6, 8, 13)


def test_frames_and_latent_video_are_each_other_s_inverse(comfy):
    frames = torch.cat([make_latent(3)[0].movedim(1, 0), make_latent(3)[0].movedim(1, 0) + 1])
    graph = Graph()
    source = graph.add("TestLatent", file=comfy.put(frames))
    mask = graph.add("SolidMask", value=0.5, width=4, height=4)
    masked = graph.add("SetLatentNoiseMask", samples=source, mask=mask)
    video = graph.add("ODVAEFramesToLatentVideo", latent=masked, clips=2)
    back = graph.add("ODVAELatentVideoToFrames", latent=video)
    graph.add("TestDump", value=video, name="video")
    graph.add("TestDump", value=back, name="back")
    run = comfy.run(graph)
    assert run.status == "success", run.message
    expected = torch.cat([make_latent(3), make_latent(3) + 1])
    assert torch.equal(comfy.take("video"), expected)
    assert torch.equal(comfy.take("back"), frames)


@pytest.mark.parametrize(
    ("kind", "shape", "inputs", "words"),
    [
        ("ODVAEFramesToLatentVideo", (5, 4, 2, 2), {"clips": 2}, "whose number is a multiple of"),
        ("ODVAEFramesToLatentVideo", (1, 4, 5, 2, 2), {"clips": 1}, "needs no conversion"),
        ("ODVAELatentVideoToFrames", (5, 4, 2, 2), {}, "needs no conversion"),
    ],
)
def test_what_needs_no_conversion_is_refused_in_words(comfy, kind, shape, inputs, words):
    graph = Graph()
    source = graph.add("TestLatent", file=comfy.put(torch.zeros(shape)))
    graph.add("TestDump", value=graph.add(kind, latent=source, **inputs), name="refused")
    refusal = comfy.run(graph)
    assert words in refusal.error["exception_message"]
