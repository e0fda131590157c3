"""Workflows that version 0.1.0 saved run, and their values have the same meaning."""

import json
from pathlib import Path

import pytest

from tests.comfyui.tensors import make_frames
from tests.comfyui.vae_graph import STREAM, VaeGraph
from tests.comfyui.workflow_files import SMALL

pytestmark = pytest.mark.comfyui
SAVED = Path(__file__).parents[1] / "data" / "workflows-0.1.0"
ORDER = sorted((path.stem for path in SAVED.glob("*.json")), reverse=True)


@pytest.mark.parametrize("name", ORDER)  # latents_to_disk before latents_from_disk
def test_a_workflow_of_version_0_1_0_runs(workflow_server, name):
    prompt = json.loads((SAVED / f"{name}.json").read_text())
    for node in prompt.values():
        node["inputs"] |= {key: SMALL[key] for key in SMALL if key in node["inputs"]}
    run = workflow_server.run(prompt)
    assert run.status == "success", run.message


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"schedule": "paper", "frames": 5}, "paper, 5 frames at a time, approximate in time"),
        ({"schedule": "paper", "tile": 16, "overlap": 8}, "tiles of 16 that overlap by 8"),
        ({"schedule": "whole", "frames": 17, "tile": 0, "overlap": 32}, "whole, exact"),
        ({"schedule": "stream", "frames": 9}, "stream, 9 frames at a time, exact"),
        ({"schedule": "exact", "frames": 9}, "stream, 9 frames at a time, exact"),
    ],
)
def test_saved_numbers_keep_their_meaning(comfy, given, told):
    vae_graph = VaeGraph(comfy, STREAM)
    vae_graph.encode(
        make_frames(17), **{"schedule": "auto", "frames": 0, "tile": 0, "overlap": 32} | given
    )
    assert any(told in text for text in vae_graph.run().texts)
