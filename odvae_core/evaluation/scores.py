"""The scores of one clip: metrics of its frames, collected crop by crop, and their means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ..metrics import MAX_PSNR, MetricCollector, border_error, by_position, quantize

GROUP = 4
"""Video frames of a latent frame in OD-VAE; candidates with another number use it too."""


class CropScores:
    """Metrics of crops with the same number of frames; means are in float64."""

    def __init__(self, borders: tuple[int, ...] = ()) -> None:
        self.borders = borders
        self._metrics = MetricCollector(max_psnr=MAX_PSNR)
        self._sides: list[int] = []

    def add(
        self,
        video: Tensor,
        reconstruction: Tensor,
        short_side: int,
        others: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Measure a crop [1, 3, T, H, W] of a clip of this short side; both rounded to 8 bits.

        `others`: metrics [1, T] of the same frames by name.
        """
        self._metrics.add(reconstruction, video)
        for name, values in (others or {}).items():
            self._metrics.add_values(name, values)
        if self.borders:
            error = border_error(reconstruction, video, self.borders)
            self._metrics.add_values(
                "border", torch.tensor([[error.at_borders]], dtype=torch.float64)
            )
            self._metrics.add_values(
                "elsewhere", torch.tensor([[error.elsewhere]], dtype=torch.float64)
            )
        self._sides.append(short_side)

    def extend(self, other: CropScores) -> None:
        """Add the crops that another process measured."""
        for name, values in other._metrics.values.items():
            self._metrics.values[name] += values
        self._sides += other._sides

    def means(self) -> dict[str, float]:
        """The mean of each metric over the frames of all crops."""
        return self._metrics.means()

    def by_side(self) -> dict[int, float]:
        """Mean PSNR for every short side."""
        pairs = list(zip(self._sides, self._metrics.values["psnr"], strict=True))
        return {
            side: float(torch.cat([psnr for other, psnr in pairs if other == side]).mean())
            for side in dict.fromkeys(self._sides)
        }

    def by_position(self) -> list[float]:
        """PSNR of frame 0, then by position in the group of four; empty without a whole group."""
        values = torch.cat(self._metrics.values["psnr"])
        return by_position(values, GROUP).tolist() if values.shape[1] > GROUP else []

    def summary(self) -> dict[str, Any]:
        """PSNR under each short side, the means of all metrics, and PSNR by position."""
        sides = {str(side): psnr for side, psnr in self.by_side().items()}
        return {**sides, **self.means(), "positions": self.by_position()}


@torch.no_grad()
def evaluate_crops(
    reconstruct: Callable[[Tensor], Tensor], crops: Mapping[int, Tensor]
) -> dict[str, Any]:
    """The metrics that a training run logs for crops {short side: [N, 3, T, H, W] in [-1, 1]}.

    PSNR under each short side; `psnr`, `ssim` and `flicker` over all crops; `positions`, as in
    `CropScores.by_position`. Non-finite reconstructions give non-finite metrics.
    """
    return score_crops(reconstruct, crops).summary()


@torch.no_grad()
def score_crops(reconstruct: Callable[[Tensor], Tensor], crops: Mapping[int, Tensor]) -> CropScores:
    """The scores of crops, as in `evaluate_crops`."""
    scores = CropScores()
    for side, group in crops.items():
        for crop in group.split(1):
            scores.add(quantize(crop), quantize(reconstruct(crop)), side)
    return scores
