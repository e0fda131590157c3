"""A cancel takes effect before the next operation of the network, not only after its blocks."""

import pytest
import torch

from tests.comfyui.graph import Graph
from tests.comfyui.tensors import CLOSE, make_frames, make_latent, to_image
from tests.comfyui.vae_graph import CLIP, STREAM, VaeGraph

pytestmark = pytest.mark.comfyui


def list_called(comfy):
    graph = Graph()
    node = graph.add("TestCalledLayers")
    (text,) = comfy.run(graph).outputs[node]["text"]
    return text.split()


@pytest.mark.parametrize("layer", [3, 9])
@pytest.mark.parametrize("schedule", ["whole", "exact", "stream"])
def test_no_layer_runs_after_a_cancel(comfy, networks, schedule, layer):
    vae_graph, latent = VaeGraph(comfy, CLIP), make_latent(3)
    cancelled = vae_graph.graph.add("TestCancelAtLayer", vae=vae_graph.vae, layer=layer)
    vae_graph.decode(latent, "cancelled", vae=cancelled, schedule=schedule)
    run = comfy.run(vae_graph.graph)
    assert run.status == "error"
    assert "exception_message" not in run.error  # interrupted, not failed
    assert len(list_called(comfy)) == layer


def test_the_core_s_nodes_hear_a_cancel_too(comfy):
    vae_graph = VaeGraph(comfy, STREAM)
    cancelled = vae_graph.graph.add("TestCancelAtLayer", vae=vae_graph.vae, layer=3)
    image = vae_graph.graph.add("TestImage", file=comfy.put(make_frames(5)))
    node = vae_graph.graph.add("VAEEncode", vae=cancelled, pixels=image)
    vae_graph.dump(node, "cancelled")
    assert "exception_message" not in comfy.run(vae_graph.graph).error
    assert len(list_called(comfy)) == 3


def test_the_next_run_is_whole(comfy, networks):
    vae_graph, latent = VaeGraph(comfy, CLIP), make_latent(3)
    cancelled = vae_graph.graph.add("TestCancelAtLayer", vae=vae_graph.vae, layer=5)
    vae_graph.decode(latent, "image", vae=cancelled)
    comfy.run(vae_graph.graph)
    vae_graph = VaeGraph(comfy, CLIP)
    vae_graph.decode(latent, "image")
    vae_graph.run()
    expected = to_image(networks[CLIP].decode(latent))
    torch.testing.assert_close(comfy.take("image"), expected, **CLOSE)
