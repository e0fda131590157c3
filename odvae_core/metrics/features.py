"""Features of whole clips for FVD, KVD and the video Inception Score, from files the caller names.

Both files are TorchScript as the StyleGAN-V authors publish them (i3d_torchscript.pt, trained on
Kinetics-400, and c3d_ucf101.pt), called as their evaluation does. TorchScript is a program: open
only files that you trust.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ..files.tensorfile import CheckpointError, hash_file
from .fidelity import quantize

CALLS: dict[str, dict[str, bool]] = {
    "i3d": {"rescale": True, "resize": True, "return_features": True},
    "c3d": {},
}
"""The keywords of StyleGAN-V's calls: the networks scale the bytes and resize the frames alone."""


@dataclass(frozen=True)
class Features:
    """A network that turns videos [B, 3, T, H, W] in [-1, 1] into rows [B, D] of float32."""

    kind: str
    path: Path
    sha256: str
    script: Any

    @torch.no_grad()
    def __call__(self, video: Tensor) -> Tensor:
        """i3d: the values before the last softmax; c3d: log probabilities of UCF101's classes.

        The video is rounded to 8 bits, as in the published evaluation. ValueError: not a video, or
        one that the network can't take: I3D wants about 10 frames or more, C3D 16.
        """
        if video.ndim != 5 or video.shape[1] != 3:
            raise ValueError(f"got a video of shape {list(video.shape)}; take [B, 3, T, H, W]")
        pixels = quantize(video).add(1).mul(127.5).round().to(torch.uint8)
        try:
            rows = self.script.to(video.device)(pixels, **CALLS[self.kind])
        except (RuntimeError, torch.jit.Error) as error:
            raise ValueError(
                f"{self.path} could not take a video of shape {list(video.shape)} "
                f"({str(error).strip().splitlines()[-1]}): I3D wants about 10 frames or more, C3D "
                "16; else the file isn't the one that StyleGAN-V publishes"
            ) from error
        return self.check(rows, len(video))

    def check(self, rows: Any, count: int) -> Tensor:
        """The rows as they are meant. Raises `ValueError` where they are none."""
        if not isinstance(rows, Tensor) or rows.ndim != 2 or len(rows) != count:
            found = list(rows.shape) if isinstance(rows, Tensor) else type(rows).__name__
            raise ValueError(
                f"{self.path} gave {found} for {count} videos instead of [{count}, D]: "
                f"give StyleGAN-V's {self.kind} file"
            )
        return rows.float().log() if self.kind == "c3d" and is_distribution(rows) else rows.float()


def is_distribution(rows: Tensor) -> bool:
    """Tell probabilities from logits: none below 0, every row adds up to 1."""
    ones = torch.ones_like(rows[:, 0])
    return bool((rows >= 0).all()) and torch.allclose(rows.sum(dim=1), ones, atol=1e-3)


def load_features(path: Path, kind: Literal["i3d", "c3d"]) -> Features:
    """A network of TorchScript, in eval mode; it follows the device of the video.

    Raises `ValueError` for another kind and `CheckpointError` for a file that is no TorchScript.
    """
    if kind not in CALLS:
        raise ValueError(f"got kind {kind!r}; take one of {', '.join(map(repr, CALLS))}")
    try:
        sha256 = hash_file(path)
    except OSError as error:
        raise CheckpointError(f"{path} can't be read ({error.strerror}): check the path") from error
    try:
        with warnings.catch_warnings():  # PyTorch advises against the format that is published
            warnings.simplefilter("ignore", DeprecationWarning)
            script = torch.jit.load(path, map_location="cpu")
    except (RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"{path} is no TorchScript file, or a damaged one: give the {kind} file that "
            "StyleGAN-V's authors publish, whole and not its weights alone"
        ) from error
    return Features(kind, path, sha256, script.eval())
