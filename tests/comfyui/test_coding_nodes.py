"""Temporal-Tiled Encode and Decode return the results of `odvae_core`, for clips of any size."""

import time

import pytest
import torch

from odvae_core import Stream, Sweep, Tiles, Whole, Windows
from odvae_core.padding import ClipSize, crop, pad
from tests.comfyui.events import assert_moves_by_layer
from tests.comfyui.tensors import CLOSE, make_frames, make_latent, to_image, to_video
from tests.comfyui.vae_graph import CLIP, STREAM, VaeGraph

pytestmark = pytest.mark.comfyui
CUTS = {
    "whole": ({"schedule": "whole"}, Whole(), None),
    "auto": ({"schedule": "auto"}, Whole(), None),
    "paper": ({"schedule": "paper", "frames": 9}, Windows(9), None),
    "exact": ({"schedule": "exact", "frames": 5}, Sweep(5), None),
    "stream": ({"schedule": "stream", "frames": 9}, Stream(9), None),
    "tiles": (
        {"schedule": "exact", "frames": 9, "tile": 32, "overlap": 8},
        Sweep(9),
        Tiles(32, overlap=8),
    ),
}


@pytest.mark.parametrize("checkpoint", [STREAM, CLIP])
def test_every_schedule_gives_what_the_core_gives(comfy, networks, checkpoint):
    vae_graph, network = VaeGraph(comfy, checkpoint), networks[checkpoint]
    image, latent = make_frames(17, 48, 64), make_latent(5, 6, 8)
    for name, (inputs, _, _) in CUTS.items():
        vae_graph.encode(image, f"encoded-{name}", **inputs)
        vae_graph.decode(latent, f"decoded-{name}", **inputs)
    vae_graph.run()
    for name, (_, schedule, tiles) in CUTS.items():
        encoded = network.encode(to_video(image), schedule, tiles).mode()
        torch.testing.assert_close(comfy.take(f"encoded-{name}"), encoded, **CLOSE)
        decoded = to_image(network.decode(latent, schedule, tiles))
        torch.testing.assert_close(comfy.take(f"decoded-{name}"), decoded, **CLOSE)


@pytest.mark.parametrize("size", [(1, 32, 32), (2, 20, 33), (18, 35, 46)])
def test_as_many_frames_and_pixels_come_out_as_went_in(comfy, networks, size):
    vae_graph, network = VaeGraph(comfy), networks[STREAM]
    image = make_frames(*size)
    vae_graph.decode(vae_graph.encode(image, "latent"), "image")
    vae_graph.run()
    video = to_video(image)
    latent = network.encode(pad(video, network)).mode()
    torch.testing.assert_close(comfy.take("latent"), latent, **CLOSE)
    expected = to_image(crop(network.decode(latent), ClipSize(*size)))
    torch.testing.assert_close(comfy.take("image"), expected, **CLOSE)


def test_the_size_rides_through_latent_nodes_but_not_onto_other_latents(comfy):
    vae_graph = VaeGraph(comfy)
    encoded = vae_graph.encode(make_frames(7, 20, 20))
    scaled = vae_graph.graph.add("LatentMultiply", samples=encoded, multiplier=0.5)
    vae_graph.decode(scaled, "scaled")
    cut = vae_graph.graph.add("LatentCut", samples=encoded, dim="t", index=0, amount=2)
    vae_graph.decode(cut, "cut")
    vae_graph.run()
    assert comfy.take("scaled").shape == (7, 20, 20, 3)
    assert comfy.take("cut").shape == (5, 24, 24, 3)


def test_several_clips_come_out_one_after_the_other(comfy, networks):
    vae_graph = VaeGraph(comfy, CLIP)
    latent = torch.cat([make_latent(2), make_latent(2) * 0.5])
    vae_graph.decode(latent, "image")
    vae_graph.run()
    torch.testing.assert_close(
        comfy.take("image"), to_image(networks[CLIP].decode(latent)), **CLOSE
    )


def test_the_same_seed_gives_the_same_latent_however_the_clip_is_cut(comfy, networks):
    vae_graph, image = VaeGraph(comfy), make_frames(17)
    vae_graph.encode(image, "whole", schedule="whole", posterior="sample", seed=7)
    vae_graph.encode(image, "cut", schedule="exact", frames=5, posterior="sample", seed=7)
    vae_graph.encode(image, "other", schedule="whole", posterior="sample", seed=8)
    vae_graph.run()
    posterior = networks[STREAM].encode(to_video(image))
    expected = posterior.sample(torch.Generator().manual_seed(7))
    torch.testing.assert_close(comfy.take("whole"), expected, **CLOSE)
    torch.testing.assert_close(comfy.take("cut"), expected, **CLOSE)
    assert not torch.allclose(comfy.take("other"), expected, atol=1e-2)


def test_alpha_is_dropped_with_a_warning_on_the_node(comfy):
    vae_graph, image = VaeGraph(comfy), make_frames(5, channels=4)
    vae_graph.encode(image, "with")
    vae_graph.encode(image[..., :3], "without")
    result = vae_graph.run()
    torch.testing.assert_close(comfy.take("with"), comfy.take("without"))
    assert any("alpha" in text for text in result.texts)


def test_a_node_says_how_it_cut_the_clip_and_moves_its_bar(comfy):
    vae_graph = VaeGraph(comfy, CLIP)
    node = vae_graph.decode(make_latent(5), schedule="stream", frames=5)
    result = vae_graph.run()
    assert any("stream, 5 frames at a time, approximate" in text for text in result.texts)
    bar = result.progress_of(node)
    assert_moves_by_layer(bar)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"tile": 32, "overlap": 32}, "overlap must be at least 0 and smaller than the tile"),
        ({"tile": 100}, "a multiple of 8"),
        ({"frames": 18}, "try 17"),
        ({"frames": 3}, "at least 5"),
        ({"schedule": "fast"}, "auto, whole, paper, published, exact, stream"),
    ],
)
def test_a_cut_that_is_impossible_is_refused_before_anything_runs(comfy, inputs, words):
    vae_graph = VaeGraph(comfy)
    vae_graph.decode(make_latent(2), **inputs)
    refusal = comfy.run(vae_graph.graph)
    assert refusal.status == "invalid"
    assert words in refusal.message


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (torch.rand(2, 16, 16, 1), "3 (RGB) or 4 (RGB and alpha)"),
        (torch.rand(0, 16, 16, 3), "at least one"),
    ],
)
def test_frames_that_are_none_are_refused_in_words(comfy, image, words):
    vae_graph = VaeGraph(comfy)
    vae_graph.encode(image)
    refusal = comfy.run(vae_graph.graph)
    assert refusal.status == "error"
    assert words in refusal.error["exception_message"]


@pytest.mark.parametrize(
    ("latent", "words"),
    [
        (torch.rand(1, 16, 2, 4, 4), "16 channels; this VAE's have 4"),
        (torch.rand(1, 4, 16), "connect a latent of a"),
    ],
)
def test_latents_of_other_models_are_refused_in_words(comfy, latent, words):
    vae_graph = VaeGraph(comfy)
    vae_graph.decode(latent)
    refusal = comfy.run(vae_graph.graph)
    assert refusal.status == "error"
    assert words in refusal.error["exception_message"]


def test_a_cancel_ends_a_decode_within_a_second_and_the_next_run_is_right(comfy, networks):
    vae_graph, latent, moments = VaeGraph(comfy), make_latent(17), []
    node = vae_graph.decode(latent, "image", schedule="exact", frames=5)

    def interrupt(event):
        if event["data"]["node"] == node and not moments:
            comfy.interrupt()
            moments.append(time.time())

    cancelled = comfy.run(vae_graph.graph, on_progress=interrupt)
    assert cancelled.error["timestamp"] / 1000 - moments[0] < 1
    assert "exception_message" not in cancelled.error  # interrupted, not failed
    value, end = cancelled.progress_of(node)[-1]
    assert value < end
    vae_graph.run()
    torch.testing.assert_close(
        comfy.take("image"), to_image(networks[STREAM].decode(latent)), **CLOSE
    )
