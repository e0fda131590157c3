"""Files that survive a kill: written aside, synced, then renamed over the old one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch


def save_checkpoint(state: dict[str, Any], path: Path) -> None:
    """Write tensors and plain values; a crash at any moment leaves the old file or the new one."""
    aside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with aside.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """What `save_checkpoint` wrote, None where nothing was written yet."""
    if not path.exists():
        return None
    return torch.load(path, map_location="cpu", weights_only=True)
