"""VideoHelperSuite's load nodes offer OD-VAE's frame counts and sizes, in any order of packs."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def core_nodes(monkeypatch):
    """A stand-in for ComfyUI's own module `nodes`, where VideoHelperSuite looks for formats."""
    module = ModuleType("nodes")
    monkeypatch.setitem(sys.modules, "nodes", module)
    return module


@pytest.fixture
def vhs(core_nodes):
    """The file that registers the format; it imports nothing of ComfyUI."""
    spec = importlib.util.spec_from_file_location("odvae_vhs", ROOT / "nodes/vhs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_format_is_offered_where_no_other_is(core_nodes, vhs):
    vhs.register_load_format()
    assert core_nodes.VHSLoadFormats["OD-VAE"]["frames"] == (4, 1)
    assert core_nodes.VHSLoadFormats["OD-VAE"]["dim"][0] == 8


def test_the_formats_of_other_packs_stay(core_nodes, vhs):
    core_nodes.VHSLoadFormats = {"Other": {}}
    vhs.register_load_format()
    assert set(core_nodes.VHSLoadFormats) == {"Other", "OD-VAE"}
