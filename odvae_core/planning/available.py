"""Free memory of devices, hosts and containers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from .need import Need

PARKED_SHARE = 0.7
"""The share of free host memory that a pass on another device may take."""


@dataclass(frozen=True)
class FreeMemory:
    """Bytes that a pass may take on the network's device and on the host.

    `shared` says that both are the same memory, as on the CPU.
    """

    device: int
    host: int
    shared: bool

    def holds(self, device: int, host: int) -> bool:
        """Whether so many bytes on the device and on the host fit."""
        if self.shared:
            return device + host <= self.host
        return device <= self.device and host <= PARKED_SHARE * self.host

    def without(self, need: Need | None) -> FreeMemory:
        """The memory left beside a pass that runs at the same time."""
        if need is None:
            return self
        if self.shared:
            left = self.host - need.device - need.host
            return FreeMemory(left, left, shared=True)
        return FreeMemory(self.device - need.device, self.host - need.host, shared=False)


def available_memory(device: torch.device) -> FreeMemory:
    """Free memory on `device` and on the host, within a container's limit."""
    host = min(psutil.virtual_memory().available, container_limit())
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return FreeMemory(free + held, host, shared=False)
    if device.type == "mps":
        used = torch.mps.driver_allocated_memory()
        return FreeMemory(torch.mps.recommended_max_memory() - used, host, shared=False)
    return FreeMemory(host, host, shared=True)


def container_limit(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that a container may still take (cgroup v2, then v1); without a limit, very many.

    Cached files that the kernel can drop don't count as taken.
    """
    for limit, used, statistics, dropped in (
        ("memory.max", "memory.current", "memory.stat", "inactive_file"),
        (
            "memory/memory.limit_in_bytes",
            "memory/memory.usage_in_bytes",
            "memory/memory.stat",
            "total_inactive_file",
        ),
    ):
        path = root / limit
        if path.exists() and (text := path.read_text().strip()).isdigit():
            taken = int((root / used).read_text()) - read_statistic(root / statistics, dropped)
            return max(0, int(text) - taken)
    return 2**63


def read_statistic(path: Path, name: str) -> int:
    """The number behind a name in a file of names and numbers; 0 where it is not there."""
    if not path.exists():
        return 0
    lines = (line.split() for line in path.read_text().splitlines())
    return next((int(words[1]) for words in lines if words[:1] == [name]), 0)
