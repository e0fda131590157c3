"""One invalid schedule input gives one error with the node's text, before anything runs."""

import pytest

from tests.comfyui.graph import Graph
from tests.comfyui.tensors import make_latent
from tests.comfyui.vae_graph import VaeGraph

pytestmark = pytest.mark.comfyui
WRONG = [
    ({"frames": 6}, "got frames = 6; pieces have 1 + 4k"),
    ({"frames": 3}, "at least 5"),
    ({"frames": -4}, "got frames = -4; pieces have 1 + 4k"),
    ({"tile": 100}, "a multiple of 8"),
    ({"tile": -8}, "tile"),
    ({"tile": 32, "overlap": 32}, "overlap must be at least 0 and smaller than the tile"),
    ({"tile": 32, "overlap": 12}, "a multiple of 8"),
    ({"schedule": "fast"}, "auto, whole, paper, published, exact, stream"),
]


def list_errors(run):
    """The errors of all nodes of a prompt that was refused."""
    assert run.status == "invalid", run.message
    return [error for node in run.error["node_errors"].values() for error in node["errors"]]


@pytest.mark.parametrize(("inputs", "words"), WRONG, ids=str)
def test_one_wrong_value_is_one_error_in_the_node_s_words(comfy, inputs, words):
    vae_graph = VaeGraph(comfy)
    vae_graph.decode(make_latent(2), **inputs)
    (error,) = list_errors(comfy.run(vae_graph.graph))
    assert words in error["details"]


def test_an_output_node_gives_one_error_too(comfy):
    graph = Graph()
    vae = graph.add("ODVAELoad", checkpoint="default")
    latent = graph.add("TestLatent", file=comfy.put(make_latent(2)))
    graph.add("ODVAEDecodeToVideoFile", latent=latent, vae=vae, frames=6)
    (error,) = list_errors(comfy.run(graph))
    assert "got frames = 6" in error["details"]


@pytest.mark.parametrize("name", ["schedule", "frames", "tile", "overlap"])
def test_a_value_that_is_missing_is_one_error(comfy, name):
    vae_graph = VaeGraph(comfy)
    node = vae_graph.decode(make_latent(2))
    del vae_graph.graph[str(node)]["inputs"][name]
    (error,) = list_errors(comfy.run(vae_graph.graph))
    assert error["type"] == "required_input_missing"
    assert error["details"] == name


@pytest.mark.parametrize("name", ["frames", "tile", "overlap"])
def test_a_value_that_is_no_number_is_one_error(comfy, name):
    vae_graph = VaeGraph(comfy)
    vae_graph.decode(make_latent(2), **{name: "many"})
    (error,) = list_errors(comfy.run(vae_graph.graph))
    assert error["type"] == "invalid_input_type"
