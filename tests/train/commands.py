"""Small trainings as users start them, in a shell of their own."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from train.run_log import read_events

ROOT = Path(__file__).resolve().parents[2]
TRAIN = ("-m", "train", "--config", "train/configs/smoke.toml")
TORCHRUN = ("-m", "torch.distributed.run")


def make_settings(folder, clips, steps=8, **run):
    """The arguments for a small run of `steps` steps with a discriminator."""
    phase = f"{{until_step={steps}, batch=2, frames=5, size=16}}"
    run = {"folder": folder, "log_every": 1, "save_every": 1000, "evaluate_every": 1000, **run}
    settings = [
        f"data.path={clips}",
        "data.cache=false",
        "data.sides=[0, 0]",
        'data.held_out=["held*"]',
        "model.overrides={width=8, norm_groups=4}",
        "discriminator.width=8",
        f"phases=[{phase}]",
        "evaluation={sides=[32], frames=5, size=16, stride=1}",
        *(f"run.{key}={value}" for key, value in run.items()),
    ]
    return [part for setting in settings for part in ("--set", setting)]


def start(*arguments, **options):
    """Start Python with these arguments."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=environment,
        **{"stderr": subprocess.PIPE, "text": True} | options,
    )


def finish(process):
    """Wait for the end of a process: exit status and stderr."""
    _, text = process.communicate(timeout=120)
    return process.returncode, text


def wait_for_step(folder, step):
    """Wait until a run has logged a step."""
    log = Path(folder) / "log.jsonl"
    for _ in range(1200):
        if log.exists() and any(
            e["event"] == "step" and e["step"] >= step for e in read_events(log)
        ):
            return
        time.sleep(0.1)
    raise TimeoutError(f"{log} has no step {step}")


def find_port():
    """A port that is free now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
