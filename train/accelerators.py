"""The processes, the device and the precision of a run, by accelerate."""

from __future__ import annotations

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs

from .config import Config


def make_accelerator(config: Config) -> Accelerator:
    """The processes, device and precision of a run.

    Without an accelerator of its kind accelerate would run each process of a launch alone.
    """
    settings = config.run
    cpu = not (torch.cuda.is_available() or torch.backends.mps.is_available())
    buffers = DistributedDataParallelKwargs(broadcast_buffers=False)
    return Accelerator(
        mixed_precision=settings.precision,
        cpu=cpu,
        log_with=list(settings.trackers) or None,
        project_dir=settings.folder,
        kwargs_handlers=[buffers],
    )
