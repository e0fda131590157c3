"""Figures of one clip: those of its frames, gathered crop by crop, and their means."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ..metrics import border_error, by_position, flicker, psnr, quantize, ssim
from .protocol import HIGHEST_PSNR

GROUP = 4
"""Frames for one latent frame: the family's, and the measure for candidates with another."""


class Scores:
    """Figures of frames, from crops of one length; all means are in float64."""

    def __init__(self, borders: tuple[int, ...] = ()) -> None:
        self.borders = borders
        self._frames: defaultdict[str, list[Tensor]] = defaultdict(list)
        self._sides: list[int] = []

    def add(
        self,
        video: Tensor,
        reconstruction: Tensor,
        short_side: int,
        others: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Compare a crop [1, 3, T, H, W] of a clip of this short side; both as 8 bits hold them.

        `others`: figures [1, T] of the same frames by name.
        """
        values = {
            "psnr": psnr(reconstruction, video).clamp(max=HIGHEST_PSNR),
            "ssim": ssim(reconstruction, video),
            "flicker": flicker(reconstruction, video),
            **(others or {}),
        }
        if self.borders:
            error = border_error(reconstruction, video, self.borders)
            values["border"] = torch.tensor([[error.at_borders]], dtype=torch.float64)
            values["elsewhere"] = torch.tensor([[error.elsewhere]], dtype=torch.float64)
        for name, value in values.items():
            self._frames[name].append(value.double())
        self._sides.append(short_side)

    def means(self) -> dict[str, float]:
        """Of each figure over the frames of all crops."""
        return {name: float(torch.cat(values).mean()) for name, values in self._frames.items()}

    def by_side(self) -> dict[int, float]:
        """PSNR for every short side."""
        pairs = list(zip(self._sides, self._frames["psnr"], strict=True))
        return {
            side: float(torch.cat([psnr for other, psnr in pairs if other == side]).mean())
            for side in dict.fromkeys(self._sides)
        }

    def by_position(self) -> list[float]:
        """PSNR of frame 0, then by place in the group of four; empty for crops without a group."""
        values = torch.cat(self._frames["psnr"])
        return by_position(values, GROUP).tolist() if values.shape[1] > GROUP else []


@torch.no_grad()
def evaluate_crops(
    reconstruct: Callable[[Tensor], Tensor], crops: Mapping[int, Tensor]
) -> dict[str, Any]:
    """What a training run logs of its held-out crops {short side: [N, 3, T, H, W] in [-1, 1]}.

    PSNR under each short side's name; `psnr`, `ssim` and `flicker` over all crops; `positions`, as
    `Scores.by_position`. Figures of a network that gives nan are nan.
    """
    scores = Scores()
    for side, group in crops.items():
        for crop in group.split(1):
            scores.add(quantize(crop), quantize(reconstruct(crop)), side)
    sides = {str(side): psnr for side, psnr in scores.by_side().items()}
    return {**sides, **scores.means(), "positions": scores.by_position()}
