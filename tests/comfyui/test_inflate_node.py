"""Tail-Inflate Checkpoint makes a video VAE from a 2D VAE, in output/vae, and replaces no file."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import odvae_core
from odvae_core.inflation import inflate
from tests.comfyui.conftest import make_network
from tests.comfyui.graph import Graph
from tests.comfyui.tensors import CLOSE, make_latent, to_image

pytestmark = pytest.mark.comfyui


def add(graph, **inputs):
    given = {"checkpoint": "vae/sd.safetensors", "preset": "odvae-stream"} | inputs
    return graph.add("ODVAETailInflate", **given)


@pytest.mark.parametrize("checkpoint", ["vae/sd.safetensors", "checkpoints/whole.safetensors"])
def test_the_inflated_vae_is_the_core_s(comfy, parent, checkpoint):
    graph = Graph()
    node = add(graph, checkpoint=checkpoint, filename_prefix="made")
    latent = graph.add("TestLatent", file=comfy.put(make_latent(2)))
    image = graph.add("ODVAETemporalTiledDecode", latent=latent, vae=node)
    graph.add("TestDump", value=image, name="inflated")
    report = graph.add("TestDump", value=node[1], name="report")
    run = comfy.run(graph)
    assert run.status == "success", run.message
    expected = to_image(inflate(parent, "odvae-stream").decode(make_latent(2)).detach())
    torch.testing.assert_close(comfy.take("inflated"), expected, **CLOSE)
    (text,) = run.outputs[report]["text"]
    assert "largest difference of the latents from the 2D VAE's" in text
    assert "output/vae/made_0000" in text


def test_the_new_file_is_listed_and_loads_at_once(comfy, parent):
    graph = Graph()
    add(graph, filename_prefix="folder/listed", mode="average")
    assert comfy.run(graph).status == "success"
    inputs = comfy.get("/object_info/ODVAELoad")["ODVAELoad"]["input"]["required"]
    options = inputs["checkpoint"][1].get("options", inputs["checkpoint"][0])
    assert str(Path("folder", "listed_00001_.safetensors")) in options
    second = Graph()
    vae = second.add("ODVAELoad", checkpoint="folder/listed_00001_.safetensors")
    second.add("TestDump", value=vae[1], name="info")
    assert comfy.run(second).status == "success"


def test_no_file_is_replaced_unless_told(comfy, parent):
    folder = comfy.base / "output/vae"
    graph = Graph()
    add(graph, filename_prefix="kept", mode="average")
    add(graph, filename_prefix="kept", mode="center")
    add(graph, filename_prefix="named", overwrite=True, preset="odvae-v1.2")
    assert comfy.run(graph).status == "success"
    assert len(list(folder.glob("kept_0000[12]_.safetensors"))) == 2
    before = odvae_core.load(folder / "named.safetensors").config
    graph = Graph()
    add(graph, filename_prefix="named", overwrite=True)
    assert comfy.run(graph).status == "success"
    assert odvae_core.load(folder / "named.safetensors").config != before


def test_no_link_leads_out_of_output_vae(comfy, parent, tmp_path):
    folder = comfy.base / "output/vae"
    folder.mkdir(exist_ok=True)
    (folder / "link").symlink_to(tmp_path, target_is_directory=True)
    graph = Graph()
    add(graph, filename_prefix="link/out")
    assert "within ComfyUI's output folder" in comfy.run(graph).message
    assert not list(tmp_path.iterdir())


def test_a_file_without_a_2d_vae_is_refused_in_words(comfy, parent):
    graph = Graph()
    add(graph, checkpoint="vae/clip.safetensors")
    assert comfy.run(graph).status == "error"


@pytest.fixture
def source(comfy):
    """What writes a 2D VAE in models/vae of this test's own; another one for every seed."""
    path = comfy.base / "models/vae/own.safetensors"

    def write(seed):
        tensors = make_network("sd-vae").state_dict()
        save_file(tensors | {"decoder.conv_out.bias": torch.full((3,), seed)}, path)

    write(0.0)
    yield write
    path.unlink()


def test_the_node_runs_again_where_its_source_or_its_file_was_replaced(comfy, source):
    graph, folder = Graph(), comfy.base / "output/vae/again"
    add(graph, checkpoint="vae/own.safetensors", filename_prefix="again/film")

    def run():
        assert comfy.run(graph).status == "success"
        return sorted(path.name for path in folder.iterdir())

    first, second, third = (f"film_0000{i}_.safetensors" for i in (1, 2, 3))
    assert run() == [first]
    assert run() == [first]  # ComfyUI keeps the result
    source(1.0)
    assert run() == [first, second]
    assert run() == [first, second]
    (folder / second).unlink()
    assert run() == [first, second]
    (folder / second).write_bytes(b"another file")
    assert run() == [first, second, third]
    assert run() == [first, second, third]


def test_a_named_file_that_was_changed_is_written_again(comfy, source):
    graph, path = Graph(), comfy.base / "output/vae/named-again.safetensors"
    text = graph.add("PrimitiveString", value="named-again")
    add(graph, checkpoint="vae/own.safetensors", filename_prefix=text, overwrite=True)
    assert comfy.run(graph).status == "success"
    size = path.stat().st_size  # the header's entries have no fixed order
    path.write_bytes(b"another file")
    assert comfy.run(graph).status == "success"
    assert path.stat().st_size == size
