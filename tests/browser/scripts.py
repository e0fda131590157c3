"""The browser scripts of this folder, called from Python."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))


def find_obstacle() -> str | None:
    """Why the scripts can't run here, with the remedy; None where they can."""
    if shutil.which("node") is None:
        return "no node: install Node.js 20"
    if not CHROMIUM.is_file():
        return f"no {CHROMIUM}: apt-get install chromium, or set CHROMIUM"
    check = ["node", "-e", "require('playwright-core')"]
    if subprocess.run(check, cwd=HERE, capture_output=True).returncode:
        return "no playwright-core: npm install it in tests/browser, or anywhere and set NODE_PATH"
    return None


def run_script(name: str, *arguments: object) -> str:
    """What a script prints. Raises `RuntimeError` with its complaint where it fails."""
    command = ["node", str(HERE / name), *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=900)
    if ended.returncode:
        raise RuntimeError(f"{name} ended with {ended.returncode}:\n{ended.stderr[-4000:]}")
    return ended.stdout
