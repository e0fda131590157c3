"""Causal video VAEs that ComfyUI loaded and no network of ours can run, run as in ComfyUI."""

import pytest
import torch

from tests.comfyui.graph import Graph
from tests.comfyui.tensors import CLOSE, make_frames, make_latent

pytestmark = pytest.mark.comfyui
FAMILIES = pytest.mark.parametrize("kind", ["wan", "hunyuan"])


@FAMILIES
def test_whole_and_auto_are_what_the_core_nodes_do(comfy, kind):
    graph = Graph()
    vae = graph.add("TestComfyVae", kind=kind, state="patched")
    image = graph.add("TestImage", file=comfy.put(make_frames(9)))
    latent = graph.add("TestLatent", file=comfy.put(make_latent(3, channels=16)))
    graph.add("TestDump", value=graph.add("VAEEncode", vae=vae, pixels=image), name="encoded")
    graph.add("TestDump", value=graph.add("VAEDecode", vae=vae, samples=latent), name="decoded")
    for schedule in ("whole", "auto"):
        ours = graph.add("ODVAETemporalTiledEncode", vae=vae, image=image, schedule=schedule)
        graph.add("TestDump", value=ours, name=f"encoded-{schedule}")
        ours = graph.add("ODVAETemporalTiledDecode", vae=vae, latent=latent, schedule=schedule)
        graph.add("TestDump", value=ours, name=f"decoded-{schedule}")
    result = comfy.run(graph)
    assert result.status == "success", result.message
    for schedule in ("whole", "auto"):
        for coded in ("encoded", "decoded"):
            torch.testing.assert_close(
                comfy.take(f"{coded}-{schedule}"), comfy.take(coded), **CLOSE
            )


@FAMILIES
def test_paper_windows_share_one_frame_that_is_dropped(comfy, kind):
    graph = Graph()
    vae = graph.add("TestComfyVae", kind=kind, state="patched")
    frames, latents = make_frames(17), make_latent(5, channels=16)
    cut = {"schedule": "paper", "frames": 9}
    image = graph.add("TestImage", file=comfy.put(frames))
    latent = graph.add("TestLatent", file=comfy.put(latents))
    ours = graph.add("ODVAETemporalTiledEncode", vae=vae, image=image, **cut)
    graph.add("TestDump", value=ours, name="encoded")
    ours = graph.add("ODVAETemporalTiledDecode", vae=vae, latent=latent, **cut)
    graph.add("TestDump", value=ours, name="decoded")
    for i, (first, last) in enumerate([(0, 9), (8, 17)]):
        window = graph.add("TestImage", file=comfy.put(frames[first:last]))
        encoded = graph.add("VAEEncode", vae=vae, pixels=window)
        graph.add("TestDump", value=encoded, name=f"encoded-{i}")
        window = graph.add("TestLatent", file=comfy.put(latents[:, :, 2 * i : 2 * i + 3]))
        decoded = graph.add("VAEDecode", vae=vae, samples=window)
        graph.add("TestDump", value=decoded, name=f"decoded-{i}")
    result = comfy.run(graph)
    assert result.status == "success", result.message
    joined = torch.cat([comfy.take("encoded-0"), comfy.take("encoded-1")[:, :, 1:]], dim=2)
    torch.testing.assert_close(comfy.take("encoded"), joined, **CLOSE)
    joined = torch.cat([comfy.take("decoded-0"), comfy.take("decoded-1")[1:]])
    torch.testing.assert_close(comfy.take("decoded"), joined, **CLOSE)


@FAMILIES
def test_as_many_frames_and_pixels_come_out_as_went_in(comfy, kind):
    graph = Graph()
    vae = graph.add("TestComfyVae", kind=kind, state="patched")
    image = graph.add("TestImage", file=comfy.put(make_frames(6, 20, 30)))
    latent = graph.add("ODVAETemporalTiledEncode", vae=vae, image=image)
    decoded = graph.add("ODVAETemporalTiledDecode", vae=vae, latent=latent)
    graph.add("TestDump", value=decoded, name="decoded")
    assert comfy.run(graph).status == "success"
    assert comfy.take("decoded").shape == (6, 20, 30, 3)


@pytest.mark.parametrize(
    ("kind", "inputs", "words"),
    [
        ("wan", {"schedule": "exact"}, "choose auto, whole or paper"),
        ("hunyuan", {"schedule": "stream"}, "choose auto, whole or paper"),
        ("image", {}, "use ComfyUI's own VAE nodes"),
    ],
)
def test_what_they_cannot_do_is_refused_in_words(comfy, kind, inputs, words):
    graph = Graph()
    vae = graph.add("TestComfyVae", kind=kind, state="patched")
    latent = graph.add("TestLatent", file=comfy.put(make_latent(2, channels=16)))
    decoded = graph.add("ODVAETemporalTiledDecode", vae=vae, latent=latent, **inputs)
    graph.add("TestDump", value=decoded, name="refused")
    refusal = comfy.run(graph)
    assert refusal.status == "error"
    assert words in refusal.error["exception_message"]


def test_they_have_no_posterior_to_sample_from(comfy):
    graph = Graph()
    vae = graph.add("TestComfyVae", kind="wan", state="patched")
    image = graph.add("TestImage", file=comfy.put(make_frames(1)))
    latent = graph.add("ODVAETemporalTiledEncode", vae=vae, image=image, posterior="sample")
    graph.add("TestDump", value=latent, name="refused")
    refusal = comfy.run(graph)
    assert "choose mean" in refusal.error["exception_message"]
