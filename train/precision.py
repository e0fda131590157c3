"""The precision of a run: automatic casts, and the scaled gradients of fp16."""

from __future__ import annotations

import torch

FIRST_SCALE = 1.0
"""Errors are sums over a frame: with the usual 2^16 the gradients of fp16 overflow."""

DTYPES = {"no": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """Casts of forward passes to 16 bits, and the gradient scaler, which only fp16 enables."""

    def __init__(self, name: str, device: torch.device):
        self.device, self.dtype = device.type, DTYPES[name]
        is_scaled = self.dtype == torch.float16
        self.scaler = torch.amp.GradScaler(self.device, FIRST_SCALE, enabled=is_scaled)

    def autocast(self) -> torch.autocast:
        """A context in which layers compute in this precision; weights stay float32."""
        return torch.autocast(self.device, self.dtype, enabled=self.dtype is not None)
