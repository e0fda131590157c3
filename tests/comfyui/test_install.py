"""comfy-cli validates the pack, packs it, and installs it into a real ComfyUI, where it runs."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.comfyui.server import ROOT, Server, find_comfyui, find_python
from tests.comfyui.workflow_files import read_prompt, write_workflow_files

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]
LEFT_OUT = (".git", ".venv", "venv", "models", "custom_nodes", "input", "output", "temp", "user")
NEEDED = (
    "__init__.py",
    "assets/sample.mp4",
    "locales/zh/nodeDefs.json",
    "nodes/load.py",
    "odvae_core/weights/default.safetensors",
    "requirements.txt",
    "web/docs/ODVAELoad/en.md",
    "workflows/reconstruct_and_compare.json",
)
UNNEEDED = ("tests/", "train/", "benchmarks/", ".github/", "docs/", "run.py")


@pytest.fixture(scope="module")
def comfy_cli(tmp_path_factory):
    """Call comfy-cli in a folder, with a home of its own in which its tracking is off."""
    home = tmp_path_factory.mktemp("home")
    beside = Path(sys.executable).parent
    settings = {**os.environ, "HOME": str(home), "PATH": f"{beside}:{os.environ['PATH']}"}

    def call(folder, *arguments):
        command = [str(beside / "comfy"), "--skip-prompt", *map(str, arguments)]
        ended = subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout + ended.stderr

    assert "disabled" in call(home, "tracking", "disable")
    return call


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """What is committed, and nothing else."""
    folder = tmp_path_factory.mktemp("git") / "odvae"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    return folder


@pytest.fixture(scope="module")
def comfyui(tmp_path_factory):
    """A copy of a ComfyUI whose Python has the manager, or a skip with the reason."""
    original, reason = find_comfyui()
    if original is None:
        pytest.skip(reason)
    python = find_python(original)
    if subprocess.run([python, "-c", "import cm_cli"], capture_output=True).returncode:
        pytest.skip(f"no comfyui-manager in {python}; pip install it there, or set COMFYUI_PYTHON")
    folder = tmp_path_factory.mktemp("workspace") / "ComfyUI"

    def leave_out(place, names):
        return LEFT_OUT if Path(place) == original else ()

    shutil.copytree(original, folder, ignore=leave_out, symlinks=True)
    (folder / "custom_nodes").mkdir()
    (folder / ".venv").symlink_to(python.parents[1], target_is_directory=True)
    return folder


def test_the_registry_s_validation_finds_nothing(comfy_cli, clone):
    said = comfy_cli(clone, "node", "validate")
    assert "All validation checks passed" in said
    assert "Warning" not in said


def test_the_archive_holds_what_the_nodes_need_and_nothing_else(comfy_cli, clone):
    comfy_cli(clone, "node", "pack")
    names = zipfile.ZipFile(clone / "node.zip").namelist()
    assert set(NEEDED) <= set(names)
    assert [name for name in names if name.startswith(UNNEEDED)] == []


def test_the_pack_installs_from_git_and_runs(comfy_cli, clone, comfyui, tmp_path):
    address = f"file://localhost{clone}"
    said = comfy_cli(tmp_path, "--workspace", comfyui, "node", "install", address)
    assert "Installation was successful" in said
    server = Server(comfyui, tmp_path)
    write_workflow_files(server)
    pack = tmp_path / "custom_nodes/odvae"
    pack.unlink()
    pack.symlink_to(comfyui / "custom_nodes/odvae", target_is_directory=True)
    try:
        server.start()
        run = server.run(read_prompt("long_video_file_to_file"))
    finally:
        server.stop()
    assert run.status == "success", run.message
    assert len(list((tmp_path / "output/video").glob("ODVAE_*.mp4"))) == 1
