"""The protocol: all that figures depend on besides the clips, in one value and in one line."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ..metrics.fidelity import WINDOW
from ..padding import ClipSize

PLACES = ((0.5, 0.5), (0, 0), (0, 1), (1, 0), (1, 1))
"""Of the crops: the centre and the corners, as shares of the spare room down and to the right."""

HIGHEST_PSNR = 100.0
"""What frames without any error count, in dB: one infinite frame would hide all the others."""


@dataclass(frozen=True)
class Protocol:
    """Which crops of a clip are measured.

    A clip is resized to each of the `short_sides` (none: to `size`), never enlarged, and every
    `stride`-th frame is kept; of its first `pieces` pieces of `frames` frames, one after another,
    the first `crops` of `PLACES` are cut, squares of `size` pixels. Raises `ValueError`.
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
                raise ValueError(f"got {name} = {value}; give whole numbers of 1 or more")
        if self.frames < 2:
            raise ValueError(
                f"got {self.frames} frames a piece; flicker is between frames: give 2 or more"
            )
        if self.size < WINDOW:
            raise ValueError(f"got a size of {self.size}; SSIM takes sides of {WINDOW} or more")
        if self.crops > len(PLACES):
            raise ValueError(
                f"got {self.crops} crops; a piece has {len(PLACES)}: for more raise the pieces"
            )
        self._check_short_sides()

    def _check_short_sides(self) -> None:
        if len(set(self.short_sides)) < len(self.short_sides):
            raise ValueError(f"got short sides {self.short_sides}; name each once")
        if min(self.sides) < self.size:
            raise ValueError(
                f"got a short side of {min(self.sides)}, smaller than the crops: "
                f"lower the size from {self.size} to it"
            )

    @property
    def sides(self) -> tuple[int, ...]:
        """The short sides that clips are resized to."""
        return self.short_sides or (self.size,)

    @property
    def crop_size(self) -> ClipSize:
        """Of what candidates get."""
        return ClipSize(self.frames, self.size, self.size)

    def describe(self) -> str:
        """One line, to stand with every figure."""
        sides = ", ".join(str(side) for side in self.sides)
        return (
            f"{self.frames}x{self.size}x{self.size}, stride {self.stride}, short side {sides}, "
            f"crops {self.crops} (centre first), pieces {self.pieces}, posterior mean, rounded to "
            f"8 bits, in memory, frames without error count {HIGHEST_PSNR:.0f} dB"
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self) | {"short_sides": list(self.short_sides)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Protocol:
        """Of what `to_dict` gave."""
        values = dict(values)
        values["short_sides"] = tuple(values["short_sides"])
        return cls(**values)
