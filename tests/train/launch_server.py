"""Trains in forked processes what it is told on stdin, one JSON object a line.

Each process has the environment that torchrun gives it, and trains as the command does.
"""

import hashlib
import json
import os
import signal
import socket
import sys
import time
import traceback
from pathlib import Path

import matplotlib.backends.backend_agg  # noqa: F401  (these two once, not by every process)
import torch._dynamo  # noqa: F401

import train.loop
from train.config import Config, build_config
from train.run import Run


def hash_weights(run):
    """The sha256 of all weights of a run."""
    modules = [one.module for one in (run.objective, run.discriminator) if one is not None]
    weights = [weight for module in modules for weight in module.parameters()]
    digest = hashlib.sha256()
    for weight in (*weights, *run.ema.shadow.values()):
        digest.update(weight.detach().numpy().tobytes())
    return digest.hexdigest()


def send_signal_in(step):
    """Send this process a SIGTERM in a step."""
    train_step = Run.train_step

    def step_with_signal(self, video, indices):
        if self.step == step - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return train_step(self, video, indices)

    Run.train_step = step_with_signal


def run_process(job, rank, port):
    """Train in this process, and write the hash of the weights."""
    world = len(job["configs"])
    if world > 1:
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(world))
        os.environ.update(LOCAL_WORLD_SIZE=str(world), MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
    status = 1
    with Path(f"{job['output']}.{rank}").open("w", buffering=1) as sys.stderr:
        try:
            if job["stop"]:
                send_signal_in(job["stop"])
            run = train.loop.train(build_config(Config, job["configs"][rank]))
            Path(f"{job['output']}.{rank}.sha256").write_text(hash_weights(run))
            status = 0
        except BaseException:
            traceback.print_exc()
        os._exit(status)


def is_any_dead():
    """Whether a process has ended."""
    return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def wait_for_moment(folder, saves, seconds):
    """Wait for the log's next event, then for a number of saves to begin, then for seconds."""
    log, names = folder / "log.jsonl", set()
    size = log.stat().st_size if log.exists() else 0
    while not is_any_dead() and (not log.exists() or log.stat().st_size == size):
        time.sleep(0.01)
    while not is_any_dead() and len(names) < saves:
        names |= {path.name for path in (folder / "checkpoints").glob("*.tmp-*")}
    time.sleep(seconds)


def serve(job):
    """Train; the exit statuses by rank. When a process fails the others are killed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    processes = {}
    for rank in range(len(job["configs"])):
        process = os.fork()
        if not process:
            run_process(job, rank, port)
        processes[process] = rank
    if job["kill"]:
        wait_for_moment(Path(job["configs"][0]["run"]["folder"]), **job["kill"])
        for process in processes:
            os.kill(process, signal.SIGKILL)
    statuses = [None] * len(processes)
    while processes:
        process, status = os.wait()
        statuses[processes.pop(process)] = os.waitstatus_to_exitcode(status)
        if status:
            for other in processes:
                os.kill(other, signal.SIGKILL)
    return statuses


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(serve(json.loads(line))), flush=True)  # noqa: T201
