"""Trainings in new processes, which a server forks: importing torch for each would take longer.

Every process has the environment that torchrun gives it, and trains as the command does.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SERVER = """
import hashlib, json, os, signal, socket, sys, traceback
from pathlib import Path
import matplotlib.backends.backend_agg, torch, torch._dynamo, accelerate
import train.loop, train.evaluation
from train.config import Config, build_config
from train.run import Run

def hash_weights(run):
    modules = [one.module for one in (run.objective, run.discriminator) if one is not None]
    weights = [weight for module in modules for weight in module.parameters()]
    digest = hashlib.sha256()
    for weight in (*weights, *run.ema.shadow.values()):
        digest.update(weight.detach().numpy().tobytes())
    return digest.hexdigest()

def stop_at(step, number):
    train_step = Run.train_step
    def step_with_signal(self, video, indices):
        if self.step == step - 1:
            os.kill(os.getpid(), number)
        return train_step(self, video, indices)
    Run.train_step = step_with_signal

def run_child(job, rank, port):
    world = len(job["configs"])
    if world > 1:
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(world),
                          LOCAL_WORLD_SIZE=str(world), MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
    sys.stdout = sys.stderr = open(f"{job['output']}.{rank}", "w", buffering=1)
    os.dup2(sys.stderr.fileno(), 2)
    try:
        if job["stop"]:
            stop_at(job["stop"], getattr(signal, job["signal"]))
        run = train.loop.train(build_config(Config, job["configs"][rank]))
        Path(f"{job['output']}.{rank}.sha256").write_text(hash_weights(run))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)

def serve(job):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    children = {}
    for rank in range(len(job["configs"])):
        child = os.fork()
        if not child:
            run_child(job, rank, port)
        children[child] = rank
    codes = [None] * len(children)
    while children:
        child, status = os.wait()
        codes[children.pop(child)] = os.waitstatus_to_exitcode(status)
        if status:  # as torchrun does
            for other in children:
                os.kill(other, signal.SIGKILL)
    return codes

for line in sys.stdin:
    print(json.dumps(serve(json.loads(line))), flush=True)
"""


class Launcher:
    """Runs trainings of one or more processes, one after the other."""

    def __init__(self, folder):
        self.folder, self.count = folder, 0
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def launch(self, *configs, stop=0, number="SIGTERM"):
        """Train with one process for each configuration: exit codes, outputs, hashes of weights.

        In the step that ends at `stop`, every process gets the signal.
        """
        self.count += 1
        output = self.folder / f"launch-{self.count}"
        job = {
            "configs": [asdict(config) for config in configs],
            "output": str(output),
            "stop": stop,
            "signal": number,
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
