"""The environment of a measurement: processor or GPU, versions and commit."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
"""The checkout, or the folder that holds the installed package."""


def describe_environment() -> str:
    """Processor or GPU, threads, torch, Python and commit; "+" marks a commit with changed files.

    Tables of measurements end with this line.
    """
    device = read_processor_name()
    if torch.cuda.is_available():
        device = f"{torch.cuda.get_device_name()}, cuDNN {torch.backends.cudnn.version()}"
    changed = "+" if run_git("status", "--porcelain", "-uno") else ""
    return (
        f"{device}, {torch.get_num_threads()} of {os.cpu_count()} threads, "
        f"torch {torch.__version__}, Python {platform.python_version()}, "
        f"commit {read_commit(short=True)}{changed}"
    )


def read_processor_name() -> str:
    """The model name of the processor, or its architecture where the system gives no name."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def read_commit(short: bool = False) -> str:
    """The hash of the checkout's commit, "unknown" outside a git repository."""
    return run_git("rev-parse", *["--short"] * short, "HEAD") or "unknown"


def run_git(*arguments: str) -> str:
    """The output of a git command in the checkout, "" where it fails."""
    command = ["git", "-C", str(ROOT), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
