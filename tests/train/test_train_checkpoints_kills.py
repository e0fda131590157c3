"""Processes killed at any time while saving: an acknowledged step is never lost."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from train.checkpoints import Checkpoints, Retention

ROOT = Path(__file__).resolve().parents[2]
KEPT = Retention(newest=2, every=50)

SAVER = """
import os, sys
from pathlib import Path
import torch
from train.checkpoints import Checkpoints, Retention

checkpoints = Checkpoints(Path(sys.argv[1]), Retention(newest=2, every=50))
for line in sys.stdin:  # the last step of the saver before
    child = os.fork()  # importing torch for each would take longer than the rest
    if child:
        print(child, flush=True)
        os.waitpid(child, 0)
        print("dead", flush=True)
        continue
    step = int(line)
    while True:
        step += 1
        weights = torch.full((50_000,), float(step))
        parts = {"vae": {"weight": weights}, "optimiser": {"state": {0: {"mean": -weights}}}}
        if checkpoints.save(step, parts, {"step": step}, best=step % 3 == 0):
            print(step, flush=True)
"""


class Saver:
    """A process that saves one step after another until it is killed."""

    def __init__(self, folder):
        self.process = subprocess.Popen(
            [sys.executable, "-c", SAVER, str(folder)],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def kill_after(self, step, seconds):
        """Save from `step` on, for `seconds` after the first save: the last acknowledged step."""
        self.process.stdin.write(f"{step}\n")
        self.process.stdin.flush()
        child = int(self.process.stdout.readline())
        acknowledged = int(self.process.stdout.readline())
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
        while (line := self.process.stdout.readline().strip()) != "dead":
            acknowledged = int(line)
        return acknowledged


@pytest.fixture
def saver(tmp_path):
    saver = Saver(tmp_path)
    yield saver
    with saver.process:
        saver.process.stdin.close()


def check_whole(checkpoint):
    """Check that all parts are of one step."""
    weights = checkpoint.load("vae")["weight"]
    assert torch.equal(weights, torch.full((50_000,), float(checkpoint.step)))
    assert torch.equal(checkpoint.load("optimiser")["state"][0]["mean"], -weights)
    assert checkpoint.facts == {"step": checkpoint.step}


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL and fork are POSIX's")
@pytest.mark.parametrize("kills", [4, pytest.param(20, marks=pytest.mark.slow)])
def test_a_kill_while_saving_loses_no_acknowledged_step(tmp_path, saver, kills):
    rng, step, interrupted = random.Random(kills), 0, 0
    for _ in range(kills):
        acknowledged = saver.kill_after(step, rng.uniform(0, 0.1))
        interrupted += any(tmp_path.glob("*.tmp-*"))
        checkpoints = Checkpoints(tmp_path, KEPT)
        checkpoint = checkpoints.load_newest()
        assert step < acknowledged <= checkpoint.step <= acknowledged + 1
        check_whole(checkpoint)
        assert not list(tmp_path.glob("*.tmp-*"))
        step = checkpoint.step
        best = tmp_path / f"step-{step // 3 * 3:08d}"
        assert checkpoints.best == (best if step >= 3 else None)
    assert interrupted or kills < 20, "no kill happened during a save: the test is inconclusive"
