"""Filename prefixes: ComfyUI's placeholders are filled in, and paths stay in the output folder."""

from datetime import datetime
from pathlib import Path

import pytest

from tests.comfyui.graph import Graph
from tests.comfyui.tensors import make_latent
from tests.comfyui.vae_graph import STREAM

pytestmark = pytest.mark.comfyui
OUTSIDE = ["../escaped", "/tmp/escaped", "a/../../escaped", "out/", "", "C:\\out", "a:b"]
OUTSIDE_BY_DATE = ["%date:hh:mm%", "%date:../../yyyy%"]


def add_film(graph, comfy, **inputs):
    vae = graph.add("ODVAELoad", checkpoint=STREAM)
    latent = graph.add("TestLatent", file=comfy.put(make_latent(1)))
    return graph.add("ODVAEDecodeToVideoFile", latent=latent, vae=vae, **inputs)


def find_file(run, node):
    (saved,) = run.outputs[node]["images"]
    return str(Path(saved["subfolder"], saved["filename"]))


@pytest.mark.parametrize(
    ("pattern", "spelled"),
    [
        ("yyyy-MM-dd", "%Y-%m-%d"),
        ("yy.M.d", "%y.%-m.%-d"),
        ("yyyyMMdd_hh", "%Y%m%d_%H"),
    ],
)
def test_dates_are_spelled_as_comfyui_s_page_spells_them(comfy, pattern, spelled):
    graph = Graph()
    film = add_film(graph, comfy, filename_prefix=f"dated/%date:{pattern}%/clip")
    before = datetime.now().astimezone().strftime(spelled)
    run = comfy.run(graph)
    after = datetime.now().astimezone().strftime(spelled)
    assert run.status == "success", run.message
    assert Path(find_file(run, film)).parent.name in (before, after)


def test_sizes_and_the_year_are_filled_in(comfy):
    graph = Graph()
    film = add_film(graph, comfy, filename_prefix="sized/%year%/%width%x%height%")
    run = comfy.run(graph)
    assert run.status == "success", run.message
    assert find_file(run, film) == f"sized/{datetime.now().astimezone().year}/32x32_00001_.mp4"


def test_inputs_of_other_nodes_are_filled_in(comfy):
    graph = Graph()
    text = graph.add("PrimitiveString", value="a/b:c")
    film = add_film(
        graph,
        comfy,
        fps=12.0,
        filename_prefix="named/%PrimitiveString.value%-%ODVAEDecodeToVideoFile.fps%-%My title."
        "quality%-%Nobody.seed%",
    )
    graph[film]["_meta"] = {"title": "My title"}
    run = comfy.run(graph)
    assert run.status == "success", run.message
    assert find_file(run, film) == "named/a_b_c-12-18-%Nobody.seed%_00001_.mp4"
    named = {"id": int(text), "properties": {"Node name for S&R": "mine"}}
    graph[film]["inputs"]["filename_prefix"] = "named/%mine.value%"
    run = comfy.run(graph, extra_pnginfo={"workflow": {"nodes": [named]}})
    assert find_file(run, film) == "named/a_b_c_00001_.mp4"


@pytest.mark.parametrize("overwrite", [False, True])
def test_tail_inflate_fills_in_the_same(comfy, parent, overwrite):
    graph = Graph()
    prefix = "%date:yyyy%/%year%-%ODVAETailInflate.mode%"
    sources = {"checkpoint": "vae/sd.safetensors", "preset": "odvae-stream"}
    graph.add("ODVAETailInflate", **sources, filename_prefix=prefix, overwrite=overwrite)
    run = comfy.run(graph)
    assert run.status == "success", run.message
    year = datetime.now().astimezone().year
    number = "" if overwrite else "_00001_"
    assert (comfy.base / f"output/vae/{year}/{year}-tail{number}.safetensors").is_file()


@pytest.mark.parametrize("kind", ["ODVAEDecodeToVideoFile", "ODVAETailInflate"])
@pytest.mark.parametrize("prefix", [*OUTSIDE, *OUTSIDE_BY_DATE])
def test_no_prefix_leads_out_of_the_output_folder(comfy, parent, kind, prefix):
    graph = Graph()
    if kind == "ODVAETailInflate":
        sources = {"checkpoint": "vae/sd.safetensors", "preset": "odvae-stream"}
        graph.add(kind, **sources, filename_prefix=prefix)
    else:
        add_film(graph, comfy, filename_prefix=prefix)
    refusal = comfy.run(graph)
    assert refusal.status == "invalid"
    (node,) = refusal.error["node_errors"].values()
    (error,) = node["errors"]
    assert "within ComfyUI's output folder" in error["details"]


@pytest.mark.parametrize(
    ("value", "prefix"), [("../escaped", None), ("..", "%PrimitiveString.value%/escaped")]
)
def test_a_prefix_that_other_nodes_make_is_refused_before_the_clip_is_decoded(comfy, value, prefix):
    graph = Graph()
    text = graph.add("PrimitiveString", value=value)
    add_film(graph, comfy, filename_prefix=prefix or text)
    refusal = comfy.run(graph)
    assert "within ComfyUI's output folder" in refusal.error["exception_message"]
    assert not refusal.texts
