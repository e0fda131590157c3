"""Conversion of a node's schedule and VAE inputs to the core's `Request` and `VideoVAE`."""

from __future__ import annotations

import comfy.sd
from comfy_api.latest import io

from ..odvae_core.planning import Request
from ..odvae_core.vae import VideoVAE
from .adopt import adopt
from .comfy_vae import ComfyVideoVAE

UNCUT = ("whole", "published")
"""Schedules that ignore the input `frames`."""

STEP = 8
"""Tiles and overlaps are multiples of this: the smallest spatial compression of any VAE."""


def make_request(schedule: str, frames: int, tile: int, overlap: int) -> Request:
    """The inputs as a request. 0 frames, a tile of 0 and an overlap below 0 mean: not set.

    Raises `ValueError` on an unknown schedule or an invalid number.
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
    """The `VideoVAE` of an `OdvaeVAE`; of any other VAE a network that shares its weights, or a
    `ComfyVideoVAE` around it.

    Raises `ValueError` if it is neither of a family of this pack nor a causal video VAE that
    compresses time 4 times.
    """
    network = getattr(vae, "first_stage_model", None)
    if isinstance(network, VideoVAE):
        return network
    if network is None:
        raise ValueError("got a VAE without weights; check the node that loads it")
    try:
        return adopt(vae)
    except ValueError as error:
        return ComfyVideoVAE(vae, str(error))


class ScheduledNode(io.ComfyNode):
    """A node with the inputs of `schema.schedule_inputs`."""

    @classmethod
    def validate_inputs(
        cls,
        schedule: str | None = None,
        frames: int | None = None,
        tile: int | None = None,
        overlap: int | None = None,
    ) -> bool:
        """Raise `ValueError` on invalid schedule inputs before anything runs.

        An error is raised because ComfyUI repeats a returned text for every input in the signature.
        Missing and linked inputs are None. ComfyUI itself rejects values that aren't numbers, so
        they are ignored here.
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
