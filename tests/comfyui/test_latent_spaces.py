"""A latent of one VAE's space that another VAE decodes is warned of before it is decoded."""

import pytest

import odvae_core
from odvae_core import diffusion
from tests.comfyui.diffusion_graph import FOLDER, SHAPE, SampledGraph, make_network

pytestmark = pytest.mark.comfyui
WORDS = "Colours will be wrong unless both share a latent space"


@pytest.fixture(scope="module", autouse=True)
def models(comfy):
    """Models on the latents of the VAE stream.safetensors, and one of no known VAE."""
    sha256 = odvae_core.load(comfy.base / "models/vae/stream.safetensors").provenance.sha256
    folder = comfy.base / FOLDER
    diffusion.save(make_network("plain"), folder / "trained.safetensors", vae_sha256=sha256)
    diffusion.save(make_network("plain"), folder / "unknown.safetensors")


def decode(comfy, model, vae, kind="ODVAETemporalTiledDecode"):
    """Sample, decode, and return what the nodes showed."""
    sampled = SampledGraph(comfy, "plain", model=model)
    graph = sampled.graph
    decoder = graph.add("ODVAELoad", checkpoint=vae)
    decoded = graph.add(kind, latent=sampled.sample(SHAPE), vae=decoder)
    graph.add("TestDump", value=decoded, name="decoded")
    run = comfy.run(graph)
    assert run.status == "success", run.message
    return run.texts


@pytest.mark.parametrize("kind", ["ODVAETemporalTiledDecode", "ODVAEDecodeToVideoFile"])
def test_another_vae_than_the_model_s_is_warned_of_first(comfy, kind):
    texts = decode(comfy, "trained.safetensors", "clip.safetensors", kind=kind)
    assert WORDS in texts[0]
    assert "OD-VAE decode" in texts[1]


def test_the_model_s_own_vae_is_not_warned_of(comfy):
    texts = decode(comfy, "trained.safetensors", "stream.safetensors")
    assert not any(WORDS in text for text in texts)


def test_a_model_of_no_known_vae_is_not_warned_of(comfy):
    texts = decode(comfy, "unknown.safetensors", "clip.safetensors")
    assert not any(WORDS in text for text in texts)


def test_a_clip_that_was_decoded_and_encoded_again_is_of_its_new_vae(comfy):
    sampled = SampledGraph(comfy, "plain", model="trained.safetensors")
    graph = sampled.graph
    own, other = (
        graph.add("ODVAELoad", checkpoint=f"{name}.safetensors") for name in ("stream", "clip")
    )
    frames = graph.add("ODVAETemporalTiledDecode", latent=sampled.sample(SHAPE), vae=own)
    encoded = graph.add("ODVAETemporalTiledEncode", image=frames, vae=other)
    decoded = graph.add("ODVAETemporalTiledDecode", latent=encoded, vae=other)
    graph.add("TestDump", value=decoded, name="decoded")
    run = comfy.run(graph)
    assert run.status == "success", run.message
    assert not any(WORDS in text for text in run.texts)
