"""Temporal-Tiled Encode and Decode give what `odvae_core` gives, for clips of any size."""

import time

import pytest
import torch

from odvae_core import Stream, Sweep, Tiles, Whole, Windows
from odvae_core.padding import ClipSize, crop, pad
from tests.comfyui.bench import CLIP, STREAM, Bench
from tests.comfyui.events import assert_moves_by_layer
from tests.comfyui.tensors import CLOSE, make_frames, make_latent, to_image, to_video

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
    bench, network = Bench(comfy, checkpoint), networks[checkpoint]
    image, latent = make_frames(17, 48, 64), make_latent(5, 6, 8)
    for name, (inputs, _, _) in CUTS.items():
        bench.encode(image, f"encoded-{name}", **inputs)
        bench.decode(latent, f"decoded-{name}", **inputs)
    bench.run()
    for name, (_, schedule, tiles) in CUTS.items():
        encoded = network.encode(to_video(image), schedule, tiles).mode()
        torch.testing.assert_close(comfy.take(f"encoded-{name}"), encoded, **CLOSE)
        decoded = to_image(network.decode(latent, schedule, tiles))
        torch.testing.assert_close(comfy.take(f"decoded-{name}"), decoded, **CLOSE)


@pytest.mark.parametrize("size", [(1, 32, 32), (2, 20, 33), (18, 35, 46)])
def test_as_many_frames_and_pixels_come_out_as_went_in(comfy, networks, size):
    bench, network = Bench(comfy), networks[STREAM]
    image = make_frames(*size)
    bench.decode(bench.encode(image, "latent"), "image")
    bench.run()
    video = to_video(image)
    latent = network.encode(pad(video, network)).mode()
    torch.testing.assert_close(comfy.take("latent"), latent, **CLOSE)
    expected = to_image(crop(network.decode(latent), ClipSize(*size)))
    torch.testing.assert_close(comfy.take("image"), expected, **CLOSE)


def test_the_size_rides_through_latent_nodes_but_not_onto_other_latents(comfy):
    bench = Bench(comfy)
    encoded = bench.encode(make_frames(7, 20, 20))
    scaled = bench.graph.add("LatentMultiply", samples=encoded, multiplier=0.5)
    bench.decode(scaled, "scaled")
    cut = bench.graph.add("LatentCut", samples=encoded, dim="t", index=0, amount=2)
    bench.decode(cut, "cut")
    bench.run()
    assert comfy.take("scaled").shape == (7, 20, 20, 3)
    assert comfy.take("cut").shape == (5, 24, 24, 3)


def test_several_clips_come_out_one_after_the_other(comfy, networks):
    bench = Bench(comfy, CLIP)
    latent = torch.cat([make_latent(2), make_latent(2) * 0.5])
    bench.decode(latent, "image")
    bench.run()
    torch.testing.assert_close(
        comfy.take("image"), to_image(networks[CLIP].decode(latent)), **CLOSE
    )


def test_the_same_seed_gives_the_same_latent_however_the_clip_is_cut(comfy, networks):
    bench, image = Bench(comfy), make_frames(17)
    bench.encode(image, "whole", schedule="whole", posterior="sample", seed=7)
    bench.encode(image, "cut", schedule="exact", frames=5, posterior="sample", seed=7)
    bench.encode(image, "other", schedule="whole", posterior="sample", seed=8)
    bench.run()
    posterior = networks[STREAM].encode(to_video(image))
    expected = posterior.sample(torch.Generator().manual_seed(7))
    torch.testing.assert_close(comfy.take("whole"), expected, **CLOSE)
    torch.testing.assert_close(comfy.take("cut"), expected, **CLOSE)
    assert not torch.allclose(comfy.take("other"), expected, atol=1e-2)


def test_alpha_is_dropped_with_a_warning_on_the_node(comfy):
    bench, image = Bench(comfy), make_frames(5, channels=4)
    bench.encode(image, "with")
    bench.encode(image[..., :3], "without")
    result = bench.run()
    torch.testing.assert_close(comfy.take("with"), comfy.take("without"))
    assert any("alpha" in text for text in result.texts)


def test_a_node_says_how_it_cut_the_clip_and_moves_its_bar(comfy):
    bench = Bench(comfy, CLIP)
    node = bench.decode(make_latent(5), schedule="stream", frames=5)
    result = bench.run()
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
    bench = Bench(comfy)
    bench.decode(make_latent(2), **inputs)
    refusal = comfy.run(bench.graph)
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
    bench = Bench(comfy)
    bench.encode(image)
    refusal = comfy.run(bench.graph)
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
    bench = Bench(comfy)
    bench.decode(latent)
    refusal = comfy.run(bench.graph)
    assert refusal.status == "error"
    assert words in refusal.error["exception_message"]


def test_a_cancel_ends_a_decode_within_a_second_and_the_next_run_is_right(comfy, networks):
    bench, latent, moments = Bench(comfy), make_latent(17), []
    node = bench.decode(latent, "image", schedule="exact", frames=5)

    def interrupt(event):
        if event["data"]["node"] == node and not moments:
            comfy.interrupt()
            moments.append(time.time())

    cancelled = comfy.run(bench.graph, on_progress=interrupt)
    assert cancelled.error["timestamp"] / 1000 - moments[0] < 1
    assert "exception_message" not in cancelled.error  # interrupted, not failed
    value, end = cancelled.progress_of(node)[-1]
    assert value < end
    bench.run()
    torch.testing.assert_close(
        comfy.take("image"), to_image(networks[STREAM].decode(latent)), **CLOSE
    )
