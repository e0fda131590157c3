"""The project opens no connection: nothing is downloaded, nothing is reported to anyone."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ("__init__.py", "run.py", "odvae_core", "nodes", "train", "benchmarks", "assets")
NETWORK_MODULES = {
    "aiohttp",
    "ftplib",
    "http",
    "httpx",
    "huggingface_hub",
    "requests",
    "smtplib",
    "socket",
    "socketserver",
    "ssl",
    "urllib",
    "urllib3",
    "webbrowser",
    "websocket",
    "websockets",
    "xmlrpc",
}

# Runs in an interpreter of its own, so that importing happens behind the wall too.
ROUND_TRIP = """
import socket


def refuse(*_arguments, **_options):
    raise AssertionError("a connection was attempted")


for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, refuse)
socket.getaddrinfo = socket.create_connection = refuse

import torch
import odvae_core

vae = odvae_core.load("default")
video = torch.zeros(1, 3, 5, 16, 16)
with torch.inference_mode():
    decoded = vae.decode(vae.encode(video).mode())
assert decoded.shape == video.shape, decoded.shape
"""


def find_network_imports(source: str) -> set[str]:
    """The network modules that a source imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(str(node.module).split(".")[0])
    return names & NETWORK_MODULES


def list_shipped_sources() -> list[Path]:
    """Every Python file that a user runs."""
    places = [ROOT / name for name in SHIPPED]
    return [
        path for place in places for path in ([place] if place.is_file() else place.rglob("*.py"))
    ]


def test_loading_the_default_model_and_a_round_trip_need_no_network():
    result = subprocess.run(
        [sys.executable, "-c", ROUND_TRIP], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_no_source_imports_a_network_module():
    found = {
        str(path.relative_to(ROOT)): names
        for path in list_shipped_sources()
        if (names := find_network_imports(path.read_text(encoding="utf-8")))
    }
    assert found == {}


@pytest.mark.parametrize(
    "source", ["import urllib.request", "def fetch():\n    from huggingface_hub import snapshot"]
)
def test_a_network_import_is_found(source):
    assert find_network_imports(source)


def test_the_wall_stops_a_connection():
    wall = ROUND_TRIP.split("import torch", maxsplit=1)[0]
    attempt = f"{wall}\nsocket.create_connection(('localhost', 9))"
    result = subprocess.run(
        [sys.executable, "-c", attempt], capture_output=True, text=True, check=False
    )
    assert "a connection was attempted" in result.stderr
