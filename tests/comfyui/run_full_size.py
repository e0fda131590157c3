"""Run the workflows that sample, with networks of full size and random weights.

python -m tests.comfyui.run_full_size sd15|svd [FOLDER]        (in the repository's root)

Outside the suite: it writes some 2 (sd15) or 5 GB (svd) to FOLDER and takes as much memory twice.
Pictures and steps are as small as in the tests, so that a CPU will do.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file

from tests.comfyui.server import Server, find_comfyui, find_python
from tests.comfyui.workflow_files import CHECKPOINTS, VAE, read_prompt, write_workflow_files

MAKER = Path(__file__).parent / "make_full_size.py"
WORKFLOWS = {"svd": "image_to_video_with_svd", "sd15": "video_to_video_with_sd15"}
PREFIX = "first_stage_model."


def run_workflow(kind: str, folder: Path) -> str:
    """Make the checkpoint, run its workflow; what became of it."""
    comfyui, reason = find_comfyui()
    if comfyui is None:
        raise SystemExit(reason)
    server = Server(comfyui, folder)
    write_workflow_files(server)
    (folder / "custom_nodes/small_models").unlink()  # ComfyUI's own loaders
    checkpoint = folder / CHECKPOINTS[list(WORKFLOWS).index(kind)]
    make = [str(find_python(comfyui)), str(MAKER), kind, str(checkpoint)]
    subprocess.run(make, cwd=comfyui, check=True)
    extract_vae(checkpoint, folder / VAE)
    start = time.monotonic()
    try:
        server.start()
        run = server.run(read_prompt(WORKFLOWS[kind]))
    finally:
        server.stop()
    seconds = time.monotonic() - start
    size = checkpoint.stat().st_size / 1e9
    return f"{kind}: {run.status} in {seconds:.0f} s, checkpoint of {size:.1f} GB {run.error or ''}"


def extract_vae(checkpoint: Path, target: Path) -> None:
    """The VAE inside a checkpoint as a file of its own."""
    with safe_open(checkpoint, "pt") as file:
        inside = {name for name in file.keys() if name.startswith(PREFIX)}  # noqa: SIM118
        save_file({name.removeprefix(PREFIX): file.get_tensor(name) for name in inside}, target)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as spare:
        place = Path(sys.argv[2]) if len(sys.argv) > 2 else Path(spare)
        sys.stdout.write(run_workflow(sys.argv[1], place) + "\n")
