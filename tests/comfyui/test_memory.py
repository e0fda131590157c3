"""auto selects the plan that fits by its estimate, and after out-of-memory the next one."""

import pytest
import torch

from odvae_core import Whole
from odvae_core.planning import Clip, count_need
from tests.comfyui.tensors import CLOSE, make_frames, make_latent, to_image, to_video
from tests.comfyui.vae_graph import CLIP, STREAM, VaeGraph

pytestmark = pytest.mark.comfyui


@pytest.mark.parametrize("checkpoint", [STREAM, CLIP])
def test_out_of_memory_makes_auto_take_a_smaller_exact_cut(comfy, networks, checkpoint):
    vae_graph, network = VaeGraph(comfy, checkpoint), networks[checkpoint]
    image, latent = make_frames(17), make_latent(5)
    short = vae_graph.graph.add("TestOutOfMemory", vae=vae_graph.vae, limit=9)
    vae_graph.encode(image, "encoded", vae=short)
    vae_graph.decode(latent, "decoded", vae=short)
    result = vae_graph.run()
    assert any("9 frames at a time" in text or "5 frames" in text for text in result.texts)
    expected = network.encode(to_video(image)).mode()
    torch.testing.assert_close(comfy.take("encoded"), expected, **CLOSE)
    torch.testing.assert_close(comfy.take("decoded"), to_image(network.decode(latent)), **CLOSE)


@pytest.mark.parametrize("kind", ["accelerator", "cpu", "python"])
def test_every_error_that_means_out_of_memory_is_one(comfy, networks, kind):
    vae_graph, latent = VaeGraph(comfy), make_latent(5)
    short = vae_graph.graph.add("TestOutOfMemory", vae=vae_graph.vae, limit=9, kind=kind)
    vae_graph.decode(latent, "decoded", vae=short)
    vae_graph.run()
    expected = to_image(networks[STREAM].decode(latent))
    torch.testing.assert_close(comfy.take("decoded"), expected, **CLOSE)


def test_out_of_memory_with_every_cut_says_what_to_do(comfy):
    vae_graph = VaeGraph(comfy)
    short = vae_graph.graph.add("TestOutOfMemory", vae=vae_graph.vae, limit=0)
    vae_graph.decode(make_latent(2), vae=short)
    failure = comfy.run(vae_graph.graph)
    assert failure.status == "error"
    assert "set schedule to auto, or tile to 256" in failure.error["exception_message"]


@pytest.fixture
def with_memory(comfy):
    """A graph whose VAE sees this number of free megabytes."""

    def make(checkpoint, megabytes):
        vae_graph = VaeGraph(comfy, checkpoint)
        vae_graph.vae = vae_graph.graph.add(
            "TestFreeMemory", vae=vae_graph.vae, megabytes=megabytes
        )
        return vae_graph

    yield make
    assert comfy.run(make(STREAM, 0.0).graph).status == "success"


@pytest.mark.parametrize(("checkpoint", "word"), [(STREAM, "stream"), (CLIP, "exact")])
def test_auto_takes_the_best_exact_plan_that_the_estimate_lets_fit(
    comfy, networks, with_memory, checkpoint, word
):
    latent, network = make_latent(17, 8, 8), networks[checkpoint]
    clip = Clip(tuple(latent.shape), torch.device("cpu"))
    whole = count_need(network, network.decoder_pass(), clip, Whole(), None)
    vae_graph = with_memory(checkpoint, (whole.device + whole.host) * 0.7 / 2**20)
    vae_graph.decode(latent, "image")
    result = vae_graph.run()
    assert any(f"decode: {word}, " in text for text in result.texts)
    assert not any("approximate" in text for text in result.texts)
    torch.testing.assert_close(comfy.take("image"), to_image(network.decode(latent)), **CLOSE)


def test_a_clip_for_which_no_cut_fits_is_refused_with_what_it_needs(comfy, with_memory):
    vae_graph = with_memory(STREAM, 0.001)
    vae_graph.decode(make_latent(2))
    failure = comfy.run(vae_graph.graph)
    assert "free memory" in failure.error["exception_message"]
