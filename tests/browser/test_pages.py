"""Every graph opens and runs in ComfyUI's own page, in a headless Chromium.

The pictures are kept in the folder that BROWSER_SHOTS names, else beside pytest's other files.
"""

import json
import os
from pathlib import Path

import pytest

from tests.browser.scripts import find_obstacle, run_script
from tests.comfyui.server import Server, find_comfyui
from tests.comfyui.workflow_files import (
    WORKFLOWS,
    list_workflows,
    small_values,
    write_workflow_files,
)

pytestmark = pytest.mark.comfyui


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What became of every graph in the page, or a skip with the reason."""
    comfyui, reason = find_comfyui()
    obstacle = find_obstacle() if comfyui else reason
    if comfyui is None or obstacle:
        pytest.skip(obstacle)
    shots = Path(os.environ.get("BROWSER_SHOTS") or tmp_path_factory.mktemp("shots"))
    server = Server(comfyui, tmp_path_factory.mktemp("page"))
    write_workflow_files(server)
    try:
        server.start()
        address = f"http://127.0.0.1:{server.port}"
        values = json.dumps({name: small_values(name) for name in list_workflows()})
        printed = run_script("run_workflows.mjs", address, WORKFLOWS, shots, values)
    finally:
        server.stop()
    return json.loads(printed) | {"shots": shots, "version": server.version}


def loads_comfyui_s_vae(name):
    """Whether a workflow has the core's own Load VAE."""
    twin = json.loads((WORKFLOWS / "api" / f"{name}.json").read_text())
    return any(node["class_type"] == "VAELoader" for node in twin.values())


@pytest.mark.parametrize("name", list_workflows())
def test_a_graph_opens_without_unknown_nodes_and_runs(seen, name):
    found = seen["workflows"][name]
    assert found["missing"] == []
    if seen["version"].startswith("0.3.") and loads_comfyui_s_vae(name):
        pytest.skip("its Load VAE takes Wan 2.1 in its own width alone, and the test's is narrow")
    assert found["status"] == "success", found.get("message")
    assert (seen["shots"] / f"{name}.png").stat().st_size > 20_000


@pytest.mark.parametrize("name", list_workflows())
def test_the_page_queues_what_the_api_twin_says(seen, name):
    twin = json.loads((WORKFLOWS / "api" / f"{name}.json").read_text())
    queued = seen["workflows"][name]["prompt"]
    assert queued.keys() == twin.keys()
    for number, node in twin.items():
        assert queued[number]["class_type"] == node["class_type"]
        # A newer ComfyUI adds inputs of its own to its nodes.
        assert queued[number]["inputs"] | node["inputs"] == queued[number]["inputs"]


def test_a_video_that_our_nodes_wrote_restores_its_graph_when_dropped(seen):
    assert "ODVAEDecodeToVideoFile" in seen["drop"]["expected"]
    assert seen["drop"]["restored"] == seen["drop"]["expected"]


def test_the_page_reports_no_error(seen):
    assert seen["errors"] == []
