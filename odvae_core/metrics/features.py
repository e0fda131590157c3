"""Networks that compute features of clips for FVD, KVD and the video Inception Score.

Both are TorchScript files of the StyleGAN-V authors (i3d_torchscript.pt, trained on Kinetics-400,
and c3d_ucf101.pt), called as in their evaluation. TorchScript is executable code: open only files
that you trust.
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
"""Keyword arguments of StyleGAN-V's calls. The networks scale the bytes and resize the frames
themselves."""


@dataclass(frozen=True)
class Features:
    """A network that computes features [B, D] in float32 of videos [B, 3, T, H, W] in [-1, 1]."""

    kind: str
    path: Path
    sha256: str
    script: Any

    @torch.no_grad()
    def __call__(self, video: Tensor) -> Tensor:
        """i3d: the values before the last softmax; c3d: log probabilities of UCF101's classes.

        The video is rounded to 8 bits, as in the published evaluation. ValueError: not a video, or
        too short for the network: I3D needs about 10 frames, C3D 16.
        """
        if video.ndim != 5 or video.shape[1] != 3:
            raise ValueError(f"got a video of shape {list(video.shape)}; give [B, 3, T, H, W]")
        pixels = quantize(video).add(1).mul(127.5).round().to(torch.uint8)
        try:
            rows = self.script.to(video.device)(pixels, **CALLS[self.kind])
        except (RuntimeError, torch.jit.Error) as error:
            raise ValueError(
                f"{self.path} failed on a video of shape {list(video.shape)} "
                f"({str(error).strip().splitlines()[-1]}): I3D needs about 10 frames, C3D 16; "
                "with enough frames, check that it is the file that StyleGAN-V publishes"
            ) from error
        return self.check_rows(rows, len(video))

    def check_rows(self, rows: Any, count: int) -> Tensor:
        """The features as float32 and, for c3d, as log probabilities. Raises `ValueError`."""
        if not isinstance(rows, Tensor) or rows.ndim != 2 or len(rows) != count:
            found = list(rows.shape) if isinstance(rows, Tensor) else type(rows).__name__
            raise ValueError(
                f"{self.path} returned {found} for {count} videos instead of [{count}, D]: "
                f"give StyleGAN-V's {self.kind} file"
            )
        return rows.float().log() if self.kind == "c3d" and is_distribution(rows) else rows.float()


def is_distribution(rows: Tensor) -> bool:
    """Whether rows are probabilities, not logits: none is negative and every row sums to 1."""
    ones = torch.ones_like(rows[:, 0])
    return bool((rows >= 0).all()) and torch.allclose(rows.sum(dim=1), ones, atol=1e-3)


def load_features(path: Path, kind: Literal["i3d", "c3d"]) -> Features:
    """Load a TorchScript network in eval mode; it follows the device of the video.

    Raises `ValueError` for another kind and `CheckpointError` if the file isn't TorchScript.
    """
    if kind not in CALLS:
        raise ValueError(f"got kind {kind!r}; choose one of {', '.join(map(repr, CALLS))}")
    try:
        sha256 = hash_file(path)
    except OSError as error:
        raise CheckpointError(f"{path} can't be read ({error.strerror}): check the path") from error
    try:
        with warnings.catch_warnings():  # PyTorch deprecates the published file format
            warnings.simplefilter("ignore", DeprecationWarning)
            script = torch.jit.load(path, map_location="cpu")
    except (RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"{path} isn't a TorchScript file, or is damaged: give the complete {kind} file that "
            "StyleGAN-V's authors publish, not its weights alone"
        ) from error
    return Features(kind, path, sha256, script.eval())
