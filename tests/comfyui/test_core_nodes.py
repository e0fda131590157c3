"""The output of Load OD-VAE works in ComfyUI's own VAE nodes, in every supported version."""

import pytest
import torch

from odvae_core import Stream, Sweep, Tiles
from odvae_core.formats import CONFIG_KEY
from odvae_core.padding import pad
from tests.comfyui.events import assert_moves_by_layer
from tests.comfyui.graph import Graph
from tests.comfyui.tensors import CLOSE, make_frames, make_latent, to_image, to_video

pytestmark = pytest.mark.comfyui
STREAM, CLIP = "stream.safetensors", "clip.safetensors"
BOTH = pytest.mark.parametrize("checkpoint", [STREAM, CLIP])


@pytest.fixture
def run_core(comfy):
    """Run one core VAE node on a tensor; returns what came out."""

    def run(kind, checkpoint, *, image=None, samples=None, meaning="one clip", **inputs):
        graph = Graph()
        vae = graph.add("ODVAELoad", checkpoint=checkpoint, latents_4d=meaning)
        if image is not None:
            inputs["pixels"] = graph.add("TestImage", file=comfy.put(image))
        else:
            inputs["samples"] = graph.add("TestLatent", file=comfy.put(samples))
        node = graph.add(kind, vae=vae, **inputs)
        graph.add("TestDump", value=node, name="core")
        result = comfy.run(graph)
        assert result.status == "success", result.message
        return comfy.take("core")

    return run


@BOTH
@pytest.mark.parametrize("frames", [1, 17])
def test_vae_encode_gives_the_mean(run_core, networks, checkpoint, frames):
    image = make_frames(frames)
    latent = run_core("VAEEncode", checkpoint, image=image)
    torch.testing.assert_close(latent, networks[checkpoint].encode(to_video(image)).mode(), **CLOSE)


@BOTH
@pytest.mark.parametrize("frames", [1, 5])
def test_vae_decode_gives_the_clip(run_core, networks, checkpoint, frames):
    latent = make_latent(frames)
    image = run_core("VAEDecode", checkpoint, samples=latent)
    torch.testing.assert_close(image, to_image(networks[checkpoint].decode(latent)), **CLOSE)


def test_vae_encode_repeats_the_last_frame_up_to_1_plus_4k_and_logs_it(run_core, networks, comfy):
    image = make_frames(18)
    latent = run_core("VAEEncode", STREAM, image=image)
    padded = pad(to_video(image), networks[STREAM])
    assert padded.shape[2] == 21
    torch.testing.assert_close(latent, networks[STREAM].encode(padded).mode(), **CLOSE)
    assert "18 frames are encoded as 21" in comfy.read_log()


def test_vae_encode_crops_the_centre_to_multiples_of_8(run_core, networks):
    image = make_frames(5, 35, 46)
    latent = run_core("VAEEncode", STREAM, image=image)
    inside = to_video(image[:, 1:33, 3:43])
    torch.testing.assert_close(latent, networks[STREAM].encode(inside).mode(), **CLOSE)


@BOTH
def test_vae_decode_takes_frames_as_a_batch_for_one_clip(run_core, networks, checkpoint):
    latent = make_latent(3)
    frames = latent[0].movedim(1, 0)
    image = run_core("VAEDecode", checkpoint, samples=frames)
    torch.testing.assert_close(image, to_image(networks[checkpoint].decode(latent)), **CLOSE)


def test_a_switch_makes_4d_latents_separate_images(run_core, networks):
    frames = make_latent(3)[0].movedim(1, 0)
    image = run_core("VAEDecode", STREAM, samples=frames, meaning="separate images")
    expected = to_image(networks[STREAM].decode(frames.unsqueeze(2)))
    assert len(image) == 3
    torch.testing.assert_close(image, expected, **CLOSE)


def test_vae_decode_keeps_several_clips_apart(run_core, networks):
    latent = torch.cat([make_latent(2), make_latent(2) * 0.5])
    image = run_core("VAEDecode", CLIP, samples=latent)
    torch.testing.assert_close(image, to_image(networks[CLIP].decode(latent)), **CLOSE)


@BOTH
def test_cuts_in_time_of_the_tiled_nodes_are_exact(run_core, networks, checkpoint):
    image, latent = make_frames(33), make_latent(9)
    sizes = {"temporal_size": 16, "temporal_overlap": 8}
    encoded = run_core("VAEEncodeTiled", checkpoint, image=image, tile_size=512, **sizes)
    decoded = run_core("VAEDecodeTiled", checkpoint, samples=latent, tile_size=512, **sizes)
    network = networks[checkpoint]
    torch.testing.assert_close(encoded, network.encode(to_video(image)).mode(), **CLOSE)
    torch.testing.assert_close(decoded, to_image(network.decode(latent)), **CLOSE)


def test_tiles_of_the_tiled_nodes_are_blended_as_published(run_core, networks):
    latent = make_latent(2, 12, 16)
    decoded = run_core("VAEDecodeTiled", STREAM, samples=latent, tile_size=64, overlap=16)
    expected = networks[STREAM].decode(latent, Stream(65), Tiles(64, overlap=16))
    torch.testing.assert_close(decoded, to_image(expected), **CLOSE)
    image = make_frames(5, 96, 128)
    encoded = run_core("VAEEncodeTiled", CLIP, image=image, tile_size=64, overlap=16)
    expected = networks[CLIP].encode(to_video(image), Sweep(65), Tiles(64, overlap=16)).mode()
    torch.testing.assert_close(encoded, expected, **CLOSE)


def test_the_tiled_encode_cuts_the_clip_to_1_plus_4k_frames(run_core, networks):
    image = make_frames(18)
    latent = run_core("VAEEncodeTiled", STREAM, image=image, tile_size=512)
    torch.testing.assert_close(
        latent, networks[STREAM].encode(to_video(image[:17])).mode(), **CLOSE
    )


def test_latents_and_frames_of_the_wrong_kind_are_refused_in_words(comfy):
    graph = Graph()
    vae = graph.add("ODVAELoad", checkpoint=STREAM)
    samples = graph.add("TestLatent", file=comfy.put(make_latent(2, channels=16)))
    graph.add("TestDump", value=graph.add("VAEDecode", vae=vae, samples=samples), name="x")
    message = comfy.run(graph).error["exception_message"]
    assert "got a latent of 16 channels; this VAE's have 4" in message
    graph = Graph()
    vae = graph.add("ODVAELoad", checkpoint=STREAM)
    pixels = graph.add("TestImage", file=comfy.put(make_frames(1, channels=1)))
    graph.add("TestDump", value=graph.add("VAEEncode", vae=vae, pixels=pixels), name="x")
    assert "3 (RGB) or 4" in comfy.run(graph).error["exception_message"]


def test_a_core_node_moves_its_bar(comfy):
    graph = Graph()
    vae = graph.add("ODVAELoad", checkpoint=STREAM)
    samples = graph.add("TestLatent", file=comfy.put(make_latent(3)))
    node = graph.add("VAEDecode", vae=vae, samples=samples)
    graph.add("TestDump", value=node, name="bar")
    bar = comfy.run(graph).progress_of(node)
    assert_moves_by_layer(bar)


def test_saving_the_vae_with_the_core_node_keeps_the_published_names(comfy, networks):
    graph = Graph()
    vae = graph.add("ODVAELoad", checkpoint=STREAM)
    graph.add("VAESave", vae=vae, filename_prefix="vae/core")
    assert comfy.run(graph).status == "success"
    from safetensors import safe_open

    (saved,) = (comfy.base / "output/vae").glob("core*.safetensors")
    with safe_open(saved, "pt") as file:
        assert set(file.keys()) == {*networks[STREAM].state_dict(), CONFIG_KEY}
