"""Peak memory of a process, and of one call inside the process that makes it (Linux)."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

from torch import Tensor


def measure_peak(call: Callable[[], Tensor]) -> tuple[Tensor, int]:
    """The call's result, and its peak memory in bytes, without the result and the memory before.

    Measure once in a process: memory that the allocator kept from an earlier call hides the peak.
    """
    gc.collect()
    reset_peak()
    before = read_status("VmRSS")
    result = call()
    return result, read_status("VmHWM") - before - result.nbytes


def reset_peak(process: int | str = "self") -> None:
    """Set the peak of a process to its current memory."""
    Path(f"/proc/{process}/clear_refs").write_text("5")


def read_status(field: str, process: int | str = "self") -> int:
    """The bytes of a field such as "VmHWM" in the status of a process."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(f"{field} of process {process}")
