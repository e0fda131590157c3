"""auto takes what fits, by its estimate and, on out-of-memory, the next smaller cut."""

import pytest
import torch

from odvae_core import Whole
from odvae_core.planning import Clip, count_need
from tests.comfyui.bench import CLIP, STREAM, Bench
from tests.comfyui.tensors import CLOSE, make_frames, make_latent, to_image, to_video

pytestmark = pytest.mark.comfyui


@pytest.mark.parametrize("checkpoint", [STREAM, CLIP])
def test_out_of_memory_makes_auto_take_a_smaller_exact_cut(comfy, networks, checkpoint):
    bench, network = Bench(comfy, checkpoint), networks[checkpoint]
    image, latent = make_frames(17), make_latent(5)
    short = bench.graph.add("TestOutOfMemory", vae=bench.vae, limit=9)
    bench.encode(image, "encoded", vae=short)
    bench.decode(latent, "decoded", vae=short)
    result = bench.run()
    assert any("9 frames at a time" in text or "5 frames" in text for text in result.texts)
    expected = network.encode(to_video(image)).mode()
    torch.testing.assert_close(comfy.take("encoded"), expected, **CLOSE)
    torch.testing.assert_close(comfy.take("decoded"), to_image(network.decode(latent)), **CLOSE)


@pytest.mark.parametrize("kind", ["accelerator", "cpu", "python"])
def test_every_error_that_means_out_of_memory_is_one(comfy, networks, kind):
    bench, latent = Bench(comfy), make_latent(5)
    short = bench.graph.add("TestOutOfMemory", vae=bench.vae, limit=9, kind=kind)
    bench.decode(latent, "decoded", vae=short)
    bench.run()
    expected = to_image(networks[STREAM].decode(latent))
    torch.testing.assert_close(comfy.take("decoded"), expected, **CLOSE)


def test_out_of_memory_with_every_cut_says_what_to_do(comfy):
    bench = Bench(comfy)
    short = bench.graph.add("TestOutOfMemory", vae=bench.vae, limit=0)
    bench.decode(make_latent(2), vae=short)
    failure = comfy.run(bench.graph)
    assert failure.status == "error"
    assert "set schedule to auto, or tile to 256" in failure.error["exception_message"]


@pytest.fixture
def with_memory(comfy):
    """A bench whose VAE thinks that so many megabytes are free."""

    def make(checkpoint, megabytes):
        bench = Bench(comfy, checkpoint)
        bench.vae = bench.graph.add("TestFreeMemory", vae=bench.vae, megabytes=megabytes)
        return bench

    yield make
    assert comfy.run(make(STREAM, 0.0).graph).status == "success"


@pytest.mark.parametrize(("checkpoint", "word"), [(STREAM, "stream"), (CLIP, "exact")])
def test_auto_takes_the_best_exact_plan_that_the_estimate_lets_fit(
    comfy, networks, with_memory, checkpoint, word
):
    latent, network = make_latent(17, 8, 8), networks[checkpoint]
    clip = Clip(tuple(latent.shape), torch.device("cpu"))
    whole = count_need(network, network.decoder_pass(), clip, Whole(), None)
    bench = with_memory(checkpoint, (whole.device + whole.host) * 0.7 / 2**20)
    bench.decode(latent, "image")
    result = bench.run()
    assert any(f"decode: {word}, " in text for text in result.texts)
    assert not any("approximate" in text for text in result.texts)
    torch.testing.assert_close(comfy.take("image"), to_image(network.decode(latent)), **CLOSE)


def test_a_clip_for_which_no_cut_fits_is_refused_with_what_it_needs(comfy, with_memory):
    bench = with_memory(STREAM, 0.001)
    bench.decode(make_latent(2))
    failure = comfy.run(bench.graph)
    assert "free memory" in failure.error["exception_message"]
