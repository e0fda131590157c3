"""Draw the graphs, their thumbnails and the README's picture from the API prompts.

python -m tests.browser.draw_workflows        (in the repository's root, with a ComfyUI as the tests
                                               find it, Chromium and playwright-core)

Prompts are in workflows/api, places and notes in layouts.json. Draw again whenever one of these, a
node's inputs or the version change.
"""

from __future__ import annotations

import shutil
import tempfile
import tomllib
from pathlib import Path

from PIL import Image

from tests.browser.scripts import find_obstacle, run_script
from tests.comfyui.server import ROOT, Server, find_comfyui
from tests.comfyui.workflow_files import SAMPLE, WORKFLOWS, list_workflows, write_workflow_files

THUMBNAIL = (640, 360)
BACKGROUND = (24, 24, 24)
SHOWN = "reconstruct_and_compare"
PICTURE = ROOT / "docs/images/workflow.png"
PICTURE_WIDTH = 1600


def draw_all(folder: Path) -> None:
    """Start a ComfyUI in a folder of its own and draw everything."""
    comfyui, reason = find_comfyui()
    obstacle = find_obstacle() if comfyui else reason
    if comfyui is None or obstacle:
        raise SystemExit(obstacle)
    server = Server(comfyui, folder / "comfyui")
    write_workflow_files(server)
    shutil.copy(ROOT / "assets/sample.mp4", server.base / SAMPLE)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    try:
        server.start()
        address = f"http://127.0.0.1:{server.port}"
        run_script("draw_workflows.mjs", address, WORKFLOWS, version, folder)
        run_script("show_workflow.mjs", address, WORKFLOWS / f"{SHOWN}.json", folder / "shown.png")
    finally:
        server.stop()
    for name in list_workflows():
        make_thumbnail(folder / f"{name}.png", WORKFLOWS / f"{name}.jpg")
    make_picture(folder / "shown.png", PICTURE)


def make_thumbnail(drawing: Path, target: Path) -> None:
    """The whole graph on a small dark field."""
    picture = Image.open(drawing).convert("RGB")
    picture.thumbnail(THUMBNAIL, Image.Resampling.LANCZOS)
    field = Image.new("RGB", THUMBNAIL, BACKGROUND)
    field.paste(picture, tuple((a - b) // 2 for a, b in zip(THUMBNAIL, picture.size, strict=True)))
    field.save(target, quality=85)


def make_picture(drawing: Path, target: Path) -> None:
    """The graph after its run, in 256 colours to be small."""
    picture = Image.open(drawing).convert("RGB")
    picture.thumbnail((PICTURE_WIDTH, PICTURE_WIDTH), Image.Resampling.LANCZOS)
    target.parent.mkdir(exist_ok=True)
    picture.quantize(256).save(target, optimize=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        draw_all(Path(place))
