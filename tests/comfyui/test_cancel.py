"""A cancel is heard before the next operation of the network, not only after its blocks."""

import pytest
import torch

from tests.comfyui.bench import CLIP, STREAM, Bench
from tests.comfyui.graph import Graph
from tests.comfyui.tensors import CLOSE, make_frames, make_latent, to_image

pytestmark = pytest.mark.comfyui


def list_called(comfy):
    graph = Graph()
    node = graph.add("TestCalledLayers")
    (text,) = comfy.run(graph).outputs[node]["text"]
    return text.split()


@pytest.mark.parametrize("layer", [3, 9])
@pytest.mark.parametrize("schedule", ["whole", "exact", "stream"])
def test_no_layer_runs_after_a_cancel(comfy, networks, schedule, layer):
    bench, latent = Bench(comfy, CLIP), make_latent(3)
    cancelled = bench.graph.add("TestCancelAtLayer", vae=bench.vae, layer=layer)
    bench.decode(latent, "cancelled", vae=cancelled, schedule=schedule)
    run = comfy.run(bench.graph)
    assert run.status == "error"
    assert "exception_message" not in run.error  # interrupted, not failed
    assert len(list_called(comfy)) == layer


def test_the_core_s_nodes_hear_a_cancel_too(comfy):
    bench = Bench(comfy, STREAM)
    cancelled = bench.graph.add("TestCancelAtLayer", vae=bench.vae, layer=3)
    image = bench.graph.add("TestImage", file=comfy.put(make_frames(5)))
    node = bench.graph.add("VAEEncode", vae=cancelled, pixels=image)
    bench.dump(node, "cancelled")
    assert "exception_message" not in comfy.run(bench.graph).error
    assert len(list_called(comfy)) == 3


def test_the_next_run_is_whole(comfy, networks):
    bench, latent = Bench(comfy, CLIP), make_latent(3)
    cancelled = bench.graph.add("TestCancelAtLayer", vae=bench.vae, layer=5)
    bench.decode(latent, "image", vae=cancelled)
    comfy.run(bench.graph)
    bench = Bench(comfy, CLIP)
    bench.decode(latent, "image")
    bench.run()
    expected = to_image(networks[CLIP].decode(latent))
    torch.testing.assert_close(comfy.take("image"), expected, **CLOSE)
