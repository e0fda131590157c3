"""The peak memory of one call, measured on the process that makes it (Linux)."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def measure_peak(call: Callable[[], Tensor]) -> tuple[Tensor, int]:
    """The call's result, and the bytes at its peak beyond what lay there before and the result.

    Measure once a process: what an allocator keeps from an earlier call hides a later one's peak.
    """
    gc.collect()
    CLEAR.write_text("5")  # the high-water mark starts again from here
    before = read_status("VmRSS")
    result = call()
    return result, read_status("VmHWM") - before - result.nbytes


def read_status(field: str) -> int:
    line = next(row for row in STATUS.read_text().splitlines() if row.startswith(field))
    return int(line.split()[1]) * 1024
