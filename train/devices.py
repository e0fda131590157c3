"""The processes, devices and precision of a run."""

from __future__ import annotations

import torch
from accelerate import Accelerator

from .config import RunConfig

FIRST_SCALE = 1.0
"""Errors are sums over a frame: with the usual 2^16 the gradients of fp16 overflow."""

DTYPES = {"no": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def make_accelerator(config: RunConfig) -> Accelerator:
    """The processes, devices and trackers of a run.

    `cpu` is set where there is no GPU: accelerate would otherwise run the processes of a launch
    independently of each other. `Precision` casts, so that every device has every precision.
    """
    cpu = not (torch.cuda.is_available() or torch.backends.mps.is_available())
    return Accelerator(
        mixed_precision="no",
        cpu=cpu,
        log_with=list(config.trackers) or None,
        project_dir=config.folder,
    )


class Precision:
    """Casts of forward passes to 16 bits, and the gradient scaler, which only fp16 enables."""

    def __init__(self, name: str, device: torch.device):
        self.device, self.dtype = device.type, DTYPES[name]
        is_scaled = self.dtype == torch.float16
        self.scaler = torch.amp.GradScaler(self.device, FIRST_SCALE, enabled=is_scaled)

    def autocast(self) -> torch.autocast:
        """A context in which layers compute in this precision; weights stay float32."""
        return torch.autocast(self.device, self.dtype, enabled=self.dtype is not None)
