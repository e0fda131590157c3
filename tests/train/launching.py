"""Trainings in new processes, which a server forks: importing torch for each would take longer."""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SERVER = ROOT / "tests" / "train" / "launch_server.py"


class Launcher:
    """Runs trainings of one or more processes, one after the other."""

    def __init__(self, folder):
        self.folder, self.count = folder, 0
        self.process = subprocess.Popen(
            [sys.executable, str(SERVER)],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def launch(self, *configs, stop=0, kill=None):
        """Train with one process for each configuration: exit codes, outputs, hashes of weights.

        In the step that ends at `stop`, every process gets a SIGTERM. All are killed some `seconds`
        after a number of `saves` of the run began: `kill` has both.
        """
        self.count += 1
        output = self.folder / f"launch-{self.count}"
        job = {
            "configs": [asdict(config) for config in configs],
            "output": str(output),
            "stop": stop,
            "kill": kill,
        }
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        codes = json.loads(self.process.stdout.readline())
        texts = [Path(f"{output}.{rank}").read_text() for rank in range(len(configs))]
        hashes = [Path(f"{output}.{rank}.sha256") for rank in range(len(configs))]
        return codes, texts, [file.read_text() if file.exists() else "" for file in hashes]

    def train(self, config, processes, **options):
        """Train with processes that must succeed, and have the same weights."""
        codes, texts, hashes = self.launch(*[config] * processes, **options)
        assert codes == [0] * processes, "\n".join(texts)[-4000:]
        assert len(set(hashes)) == 1
        assert hashes[0]

    def close(self):
        """End the server."""
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
