"""The protocol: every setting, besides the clips, on which the results depend."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..metrics.fidelity import MAX_PSNR, WINDOW
from ..padding import ClipSize

CROP_POSITIONS = ((0.5, 0.5), (0, 0), (0, 1), (1, 0), (1, 1))
"""Positions of the crops: the centre and the corners, as fractions of the free space down and
right."""


@dataclass(frozen=True)
class Protocol:
    """The crops of a clip that are measured.

    A clip is resized to each of the `short_sides` (default: `size`), but not enlarged, and every
    `stride`-th frame is kept. From each of the first `pieces` consecutive pieces of `frames`
    frames, squares of `size` pixels are cut at the first `crops` of `CROP_POSITIONS`. Raises
    `ValueError`.
    """

    frames: int = 33
    size: int = 256
    short_sides: tuple[int, ...] = ()
    stride: int = 1
    crops: int = 1
    pieces: int = 1

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if any(number < 1 for number in (value if name == "short_sides" else (value,))):
                raise ValueError(f"got {name} = {value}; give integers of 1 or more")
        if self.frames < 2:
            raise ValueError(
                f"got {self.frames} frames per piece; flicker needs two: give 2 or more"
            )
        if self.size < WINDOW:
            raise ValueError(f"got a size of {self.size}; SSIM takes sides of {WINDOW} or more")
        if self.crops > len(CROP_POSITIONS):
            most = len(CROP_POSITIONS)
            raise ValueError(f"got {self.crops} crops; a piece has {most}: increase the pieces")
        self._check_short_sides()

    def _check_short_sides(self) -> None:
        if len(set(self.short_sides)) < len(self.short_sides):
            raise ValueError(f"got short sides {self.short_sides}; give each once")
        if min(self.sides) < self.size:
            raise ValueError(
                f"got a short side of {min(self.sides)}, smaller than the crops: "
                f"lower the size from {self.size} to it"
            )

    @property
    def sides(self) -> tuple[int, ...]:
        """The short sides to which clips are resized."""
        return self.short_sides or (self.size,)

    @property
    def crop_size(self) -> ClipSize:
        """The size of a crop."""
        return ClipSize(self.frames, self.size, self.size)

    def describe(self) -> str:
        """The protocol in one line, which is printed with every table."""
        sides = ", ".join(str(side) for side in self.sides)
        return (
            f"{self.frames}x{self.size}x{self.size}, stride {self.stride}, short side {sides}, "
            f"crops {self.crops} (centre first), pieces {self.pieces}, posterior mean, rounded to "
            f"8 bits, in memory, frames without error count {MAX_PSNR:.0f} dB"
        )

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON values."""
        return asdict(self) | {"short_sides": list(self.short_sides)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Protocol:
        """The protocol from the result of `to_dict`."""
        values = dict(values)
        values["short_sides"] = tuple(values["short_sides"])
        return cls(**values)
