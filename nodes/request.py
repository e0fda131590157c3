"""The inputs of a node that say how its clip is cut, and the VAE that is to be cut."""

from __future__ import annotations

import comfy.sd
from comfy_api.latest import io

from ..odvae_core.planning import Request
from ..odvae_core.vae import VideoVAE
from .foreign import ForeignVAE

UNCUT = ("whole", "published")
"""Schedules for which the input `frames` has no meaning."""

STEP = 8
"""Pixels of which tiles and overlaps are multiples: the least spatial compression of any VAE."""


def make_request(schedule: str, frames: int, tile: int, overlap: int) -> Request:
    """The inputs as a request: 0 frames, a tile of 0 and an overlap below 0 leave the choice open.

    Raises `ValueError` on a word or a number that can't be.
    """
    request = Request(
        schedule,
        None if not frames or schedule in UNCUT else frames,
        tile or None,
        overlap if tile and overlap >= 0 else None,
    )
    for name, pixels in (("tile", request.tile), ("overlap", request.overlap)):
        if pixels and pixels % STEP:
            raise ValueError(
                f"got {name} = {pixels}; it is a multiple of {STEP} pixels: "
                f"try {pixels // STEP * STEP} or {pixels // STEP * STEP + STEP}"
            )
    return request


def network_of(vae: comfy.sd.VAE) -> VideoVAE:
    """The video VAE behind ComfyUI's VAE: one of ours, or another family's as one of ours.

    Raises `ValueError` where it is no causal video VAE that compresses time 4 times.
    """
    network = getattr(vae, "first_stage_model", None)
    return network if isinstance(network, VideoVAE) else ForeignVAE(vae)


class CuttingNode(io.ComfyNode):
    """A node with the inputs of `schema.cut_inputs`."""

    @classmethod
    def validate_inputs(
        cls,
        schedule: str | None = None,
        frames: int | None = None,
        tile: int | None = None,
        overlap: int | None = None,
    ) -> bool:
        """Raise `ValueError` on an impossible cut, before anything runs.

        ComfyUI repeats what is returned for every input that is named here, and what is raised it
        reports once. Inputs that are missing or linked are None; what is no number is refused by
        ComfyUI itself, and left out here.
        """
        frames, tile, overlap = (
            given if isinstance(given, int) else None for given in (frames, tile, overlap)
        )
        make_request(
            "auto" if schedule is None else schedule,
            frames or 0,
            tile or 0,
            -1 if overlap is None else overlap,
        )
        return True
