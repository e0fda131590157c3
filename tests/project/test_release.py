"""What may be published: the check says what is missing, the archive holds what the nodes need."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from release.check import PLACEHOLDER, find_missing_steps

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path):
    """A copy of what the check reads, with everything filled in."""
    shutil.copytree(ROOT / "workflows", tmp_path / "workflows")
    content = (ROOT / "pyproject.toml").read_text()
    version = tomllib.loads(content)["project"]["version"]
    (tmp_path / "pyproject.toml").write_text(content.replace(f'"{PLACEHOLDER}"', '"someone"'))
    replace(tmp_path / "pyproject.toml", f"/{PLACEHOLDER}/", "/someone/")
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n## [{version}]\n")
    weights = tmp_path / "odvae_core/weights/default.safetensors"
    weights.parent.mkdir(parents=True)
    weights.touch()
    return tmp_path


def replace(path, old, new):
    path.write_text(path.read_text().replace(old, new))


def test_a_checkout_with_everything_filled_in_can_be_published(checkout):
    assert list(find_missing_steps(checkout)) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("pyproject.toml", '"someone"', f'"{PLACEHOLDER}"', "PublisherId"),
        ("pyproject.toml", "com/someone/odvae", f"com/{PLACEHOLDER}/odvae", "Repository"),
        ("CHANGELOG.md", "## [", "## ", "say what this version changes"),
        ("workflows/latents_to_disk.json", '"ver": "', '"ver": "9.', "draw the workflows again"),
    ],
)
def test_what_is_missing_is_named(checkout, file, old, new, words):
    replace(checkout / file, old, new)
    assert any(words in step for step in find_missing_steps(checkout))


def test_missing_weights_are_named(checkout):
    (checkout / "odvae_core/weights/default.safetensors").unlink()
    assert any("default.safetensors" in step for step in find_missing_steps(checkout))


def test_the_command_prints_every_step_and_ends_with_1_where_there_is_one():
    command = [sys.executable, "-m", "release.check"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    steps = list(find_missing_steps(ROOT))
    assert ended.stdout.splitlines() == (steps or ["nothing is missing"])
    assert ended.returncode == bool(steps)
