"""What a node's inputs say about how its clip is cut, refused in words where it can't be."""

from __future__ import annotations

from dataclasses import dataclass

import comfy.sd
from comfy_api.latest import io

from ..odvae_core.constants import PUBLISHED_WINDOWS
from ..odvae_core.schedules import Direction, Schedule, Stream, Sweep, Whole, Windows
from ..odvae_core.tiling import Tiles
from ..odvae_core.vae import VideoVAE
from .foreign import ForeignVAE
from .schema import SCHEDULES, check_choice


@dataclass(frozen=True)
class Cut:
    """The words and numbers of a node; 0 frames and a tile of 0 leave the choice to the
    schedule."""

    schedule: str = "auto"
    frames: int = 0
    tile: int = 0
    overlap: int = 32

    def __post_init__(self):
        check_choice("schedule", self.schedule, SCHEDULES)
        if self.frames and (self.frames < 5 or self.frames % 4 != 1):
            raise ValueError(
                f"got frames = {self.frames}; it is 1 + 4k and at least 5, or 0 for the schedule's "
                f"own: try {max(5, self.frames // 4 * 4 + 1)}"
            )
        if self.tile:
            Tiles(self.tile, self.overlap).check(8)

    def check(self, network: VideoVAE) -> None:
        """Raise `ValueError` where this VAE can't be cut so."""
        if self.tile:
            Tiles(self.tile, self.overlap).check(network.spatial_compression)
        if isinstance(network, ForeignVAE) and self.schedule in ("exact", "stream"):
            raise ValueError(
                f"got schedule {self.schedule!r} for a VAE that Load OD-VAE didn't load; its "
                "layers can't be run piece by piece: choose auto, whole or paper"
            )

    def schedule_for(self, network: VideoVAE, way: Direction) -> Schedule:
        """The schedule asked for by any word but auto."""
        size = {"frames": self.frames} if self.frames else {}
        if self.schedule == "whole":
            return Whole()
        if self.schedule == "paper":
            return Windows(self.frames or window_of(network))
        if self.schedule == "stream" or way.streams_exactly:
            return Stream(**size)
        return Sweep(**size)

    def tiles_for(self, height: int, width: int) -> Tiles | None:
        """The tiles of a picture of so many pixels; none where it is no larger than one tile."""
        return Tiles(self.tile, self.overlap) if 0 < self.tile < max(height, width) else None


def window_of(network: VideoVAE) -> int:
    """Video frames of a family's own windows: the paper's, where its authors publish no others."""
    return PUBLISHED_WINDOWS.get(network.family, (Windows().frames,))[0]


def network_of(vae: comfy.sd.VAE) -> VideoVAE:
    """The video VAE behind ComfyUI's VAE: one of ours, or another family's in the same clothes.

    Raises `ValueError` where it is no causal video VAE that compresses time 4 times.
    """
    network = getattr(vae, "first_stage_model", None)
    return network if isinstance(network, VideoVAE) else ForeignVAE(vae)


class CuttingNode(io.ComfyNode):
    """A node with the inputs of `schema.cut_inputs`."""

    @classmethod
    def validate_inputs(
        cls, schedule: str | None, frames: int | None, tile: int | None, overlap: int | None
    ) -> bool | str:
        """What is wrong with a cut, before anything runs; inputs that are linked come as None."""
        given = {"schedule": schedule, "frames": frames, "tile": tile, "overlap": overlap}
        known = {name: value for name, value in given.items() if value is not None}
        if tile is not None and overlap is None:
            known.pop("tile")
        try:
            Cut(**known)
        except ValueError as error:
            return str(error)
        return True
