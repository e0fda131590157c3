"""Where a figure was measured: every table of the benchmarks ends with this line."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent


def describe_environment() -> str:
    """Processor or GPU, threads, torch, Python and the commit; a + where files differ from it."""
    device = processor_name()
    if torch.cuda.is_available():
        device = f"{torch.cuda.get_device_name()}, cuDNN {torch.backends.cudnn.version()}"
    return (
        f"{device}, {torch.get_num_threads()} of {os.cpu_count()} threads, "
        f"torch {torch.__version__}, Python {platform.python_version()}, commit {commit()}"
    )


def processor_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def commit() -> str:
    """The short hash of the checkout's commit, "unknown" outside of git."""

    def git(*words: str) -> str:
        run = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
        return run.stdout.strip()

    try:
        changed = git("status", "--porcelain", "-uno")
        return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
