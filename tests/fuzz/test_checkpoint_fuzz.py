"""Checkpoints that are broken on purpose load or are refused, at the price of their size.

`python -m tests.fuzz.checkpoints` counts more of them and says which went wrong.
"""

import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import odvae_core as odvae
from tests.fuzz.checkpoints import MUTATORS, judge, read_checkpoint, write_mutant
from tests.fuzz.corpus import BROKEN

ROOT = Path(__file__).resolve().parents[2]
QUICK = 2 * len(MUTATORS)
MANY = 4200


@pytest.fixture(autouse=True)
def _quiet():
    """PyTorch warns of the odd tensors that the mutators make."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("name", BROKEN)
def test_what_once_broke_is_refused_in_words(tmp_path, name):
    path = BROKEN[name](tmp_path)
    assert judge(path) == ""
    with pytest.raises(odvae.CheckpointError) as raised:
        read_checkpoint(path)
    assert str(tmp_path) in str(raised.value)


def test_some_files_of_every_mutator_are_read_cleanly(tmp_path):
    wrong = {}
    for seed in range(QUICK):
        folder = tmp_path / str(seed)
        folder.mkdir()
        name, path = write_mutant(seed, folder)
        wrong[seed] = (name, judge(path))
    assert {seed: found for seed, found in wrong.items() if found[1]} == {}


@pytest.mark.slow
def test_thousands_of_files_are_read_cleanly():
    command = [sys.executable, "-m", "tests.fuzz.checkpoints", "--count", str(MANY)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-4000:]
    assert f"{MANY} files, {MANY} clean, 0 wrong" in run.stdout
