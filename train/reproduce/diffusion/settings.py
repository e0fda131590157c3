"""The sizes of the experiment, and the rows that its tables compare."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..training import PAPER


@dataclass(frozen=True)
class Settings:
    """The clips, the trainings and the samples of all rows.

    `network` overrides `preset`, a Latte.
    """

    frames: int = 13
    size: int = 32
    clips: int = 1024
    image_steps: int = 600
    video_steps: int = 300
    classifier_steps: int = 400
    preset: str = "latte-s-ucf101"
    network: dict[str, Any] = field(
        default_factory=lambda: {"layers": 4, "heads": 4, "head_dim": 24, "patch_size": 1}
    )
    steps: int = 2500
    batch: int = 24
    rate: float = 2e-3
    samples: int = 256
    sampling_steps: int = 50
    guidance: float = 3.0


CPU = Settings()
"""For two processor cores."""

GPU = Settings(
    frames=17,
    size=64,
    clips=8192,
    image_steps=3000,
    video_steps=2000,
    network={"patch_size": 1},
    steps=20_000,
    batch=64,
    rate=3e-4,
    samples=1024,
)
"""For a GPU: Latte-S."""


@dataclass(frozen=True)
class Row:
    """The VAE whose latents a Latte is trained on.

    With `images` the 2D VAE, frame by frame; otherwise `preset`, made from it by `inflation`.
    `window` frames are coded at a time; 0: whole clips.
    """

    name: str
    preset: str = PAPER
    inflation: str = "tail"
    images: bool = False
    window: int = 0


OURS = Row("OD-VAE")
TABLES: dict[str, tuple[Row, ...]] = {
    "generation": (Row("2D VAE, frame by frame", images=True), OURS),
    "generation-variants": (
        Row("variant 1", "odvae-variant-1"),
        Row("variant 2", "odvae-variant-2"),
        Row("variant 3", "odvae-variant-3"),
        OURS,
    ),
    "generation-starts": (
        Row("average inflation", inflation="average"),
        Row("random start", inflation="random"),
        OURS,
    ),
    "generation-tiling": (Row("windows of 5 frames", window=5), OURS),
}
"""The paper's Table 2, Figure 4 (c) and (f), and the generation columns of Table 4."""
