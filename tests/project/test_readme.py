"""What README.md shows runs as it is written."""

import re
import runpy
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import odvae_core
from odvae_core import Stream
from tests.checkpoints import shrink

README = Path(__file__).parents[2] / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture
def folder(tmp_path):
    """A folder with the 2D VAE that the README names: in Stable Diffusion's layout, narrow."""
    parent = odvae_core.build(shrink("sd-vae"))
    save_file(parent.state_dict(), tmp_path / "sd-vae.safetensors")
    return tmp_path


def test_the_readme_has_python_to_run():
    assert BLOCKS


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_of_python_runs_as_it_is_written(folder, monkeypatch, block):
    monkeypatch.chdir(folder)
    Path("block.py").write_text(block, encoding="utf-8")
    names = runpy.run_path("block.py")
    assert names["video"].shape == (1, 3, 9, 64, 64)
    torch.testing.assert_close(
        names["video"],
        odvae_core.load("default").decode(names["latent"], Stream()),
        atol=1e-4,
        rtol=0,
    )
    assert odvae_core.load("mine.safetensors").config == names["vae"].config
