"""One pass through an encoder or a decoder: its steps, and how frames and pixels map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from torch import Tensor, nn

from .norm import ClipGroupNorm
from .stream import Step


class Coding(Enum):
    """Which half of a VAE runs."""

    ENCODE = "encode"
    DECODE = "decode"


@dataclass(frozen=True)
class CoderPass:
    """The steps of an encoder or a decoder, and how frames and pixels go in and come out.

    After the first frame, which gives one, `frames_in` frames give `frames_out`; `pixels_in` pixels
    of a side give `pixels_out`. `module` is what the steps run. `starts(frames)` gives the steps of
    a clip whose first latent frame stands for so many video frames, where that needn't be one.
    """

    steps: Sequence[Step]
    module: nn.Module
    frames_in: int
    frames_out: int
    pixels_in: int
    pixels_out: int
    starts: Callable[[int], Sequence[Step]] | None = None

    def starting_with(self, frames: int) -> CoderPass:
        """The pass of a clip whose first latent frame stands for so many video frames.

        Raises `ValueError` where it is always one.
        """
        if frames == 1:
            return self
        if self.starts is None:
            raise ValueError(
                f"got a piece whose first latent frame stands for {frames} frames; in this VAE it "
                "is one: give pieces of 1 + ck frames"
            )
        return replace(self, steps=self.starts(frames))

    @property
    def coding(self) -> Coding:
        """Whether this is an encoder or a decoder: a decoder makes the picture larger."""
        return Coding.DECODE if self.pixels_out > self.pixels_in else Coding.ENCODE

    @property
    def temporal_compression(self) -> int:
        """Video frames for each latent frame after the first."""
        return max(self.frames_in, self.frames_out)

    @property
    def spatial_compression(self) -> int:
        """Pixels of a side for each latent pixel."""
        return max(self.pixels_in, self.pixels_out)

    def picture_size(self, shape: Sequence[int]) -> tuple[int, int]:
        """Height and width in video pixels of an input [B, C, T, H, W]."""
        scale = self.spatial_compression // self.pixels_in
        return shape[-2] * scale, shape[-1] * scale

    def output_frames(self, frames: int) -> int:
        """Output frames for an input of 1 + k frames_in frames."""
        return 1 + (frames - 1) // self.frames_in * self.frames_out

    def cut(self, frames: int) -> tuple[int, int]:
        """Input frames of a cut's first chunk and of each later one; `frames` counts video frames.

        Raises `ValueError` where they are not 1 + k times the temporal compression.
        """
        compression = self.temporal_compression
        later, rest = divmod(frames - 1, compression)
        if rest or later < 1:
            shorter = max(later, 1) * compression + 1
            raise ValueError(
                f"got a schedule of {frames} frames; it takes 1 + {compression}k, "
                f"at least {1 + compression}: try {shorter} or {shorter + compression}"
            )
        return 1 + later * self.frames_in, later * self.frames_in

    def to_device(self, chunk: Tensor) -> Tensor:
        """The chunk on the device of the weights, in its type."""
        weight = next(self.module.parameters())
        return chunk.to(weight.device, weight.dtype)

    def withheld(self, chunk: Tensor) -> Tensor:
        """An empty output: no frame, with the output's height and width."""
        height, width = (side * self.pixels_out // self.pixels_in for side in chunk.shape[-2:])
        return chunk.new_empty(chunk.shape[0], 1, 0, height, width)

    @property
    def looks_ahead(self) -> bool:
        """Whether a layer needs to know which chunk is the last."""
        return any(getattr(module, "looks_ahead", False) for module in self.module.modules())

    @property
    def streams_exactly(self) -> bool:
        """Whether a stream equals the whole clip: no norm and no attention spans the clip."""
        return not self.unstreamable and not any(
            isinstance(module, ClipGroupNorm) for module in self.module.modules()
        )

    @property
    def unstreamable(self) -> str | None:
        """Why the network gives no output before the clip's end; None where it does."""
        reasons = (getattr(module, "unstreamable", None) for module in self.module.modules())
        return next(filter(None, reasons), None)

    @property
    def whole_clip_only(self) -> str | None:
        """Why the clip can't be cut at all; None where it can."""
        reasons = (getattr(module, "whole_clip_only", None) for module in self.module.modules())
        return next(filter(None, reasons), None)
