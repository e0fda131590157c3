"""Clips through a VAE by the cut that was asked for, or by the best that fits, smaller on out-of-
memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import comfy.model_management as mm
import comfy.sd
import torch
from torch import Tensor

from ..odvae_core.posterior import Posterior
from ..odvae_core.schedules import Schedule, Stream, Sweep, Whole, Windows
from ..odvae_core.tiling import Tiles, count_tiles
from ..odvae_core.vae import VideoVAE
from .budget import Choice, direction_of, list_cuts
from .cut import Cut, network_of
from .feedback import Progress

log = logging.getLogger(__name__)

NAMES = {Whole: "whole", Windows: "paper", Sweep: "exact", Stream: "stream"}
"""The words by which the nodes call the schedules."""

Say = Callable[[str], None]
Result = TypeVar("Result")


def encode_clip(
    vae: comfy.sd.VAE, video: Tensor, cut: Cut, progress: Progress, say: Say = log.info
) -> Posterior:
    """Video [1, 3, 1 + 4k, H, W] in [-1, 1] -> posterior, where ComfyUI keeps what nodes
    exchange."""
    return _run(vae, "encode", video.to(vae.output_device), cut, progress, say)


def decode_clip(
    vae: comfy.sd.VAE, latent: Tensor, cut: Cut, progress: Progress, say: Say = log.info
) -> Tensor:
    """Latent [1, C, T, h, w] -> video [1, 3, F, H, W], where ComfyUI keeps what nodes exchange."""
    latent = latent.to(vae.output_device, torch.float32)
    return _run(vae, "decode", latent, cut, progress, say)


def _run(vae: comfy.sd.VAE, way: str, clip: Tensor, cut: Cut, progress: Progress, say: Say) -> Any:
    network = network_of(vae)
    cut.check(network)

    def attempt(schedule: Schedule, tiles: Tiles | None) -> Any:
        say(describe(network, way, schedule, tiles))
        return getattr(network, way)(clip, schedule, tiles, progress)

    return take_first_that_fits(list_cuts(vae, network, way, tuple(clip.shape), cut), attempt)


def take_first_that_fits(
    cuts: Iterable[Choice], attempt: Callable[[Schedule, Tiles | None], Result]
) -> Result:
    """`attempt` one cut after the other, until one doesn't run out of memory.

    Raises `MemoryError` where all do; any other error, and a cancel, passes through.
    """
    for schedule, tiles in cuts:
        try:
            return attempt(schedule, tiles)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # Behind the except block, where the failed run's tensors are gone.
        mm.soft_empty_cache()
        log.warning("OD-VAE: out of memory with %s, tiles %s", schedule, tiles)
    raise MemoryError(
        "out of memory even with the smallest cut: set schedule to auto, or tile to 256 or less, "
        "close what else uses the card, or run ComfyUI with --cpu-vae"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on a card or on the CPU, where PyTorch has no error type of its own
    for it."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def describe(network: VideoVAE, way: str, schedule: Schedule, tiles: Tiles | None) -> str:
    """The cut in the nodes' words, and where it isn't equal to the whole clip."""
    words = [NAMES[type(schedule)]]
    if frames := getattr(schedule, "frames", None):
        words.append(f"{frames} frames at a time")
    if tiles:
        words.append(f"tiles of {tiles.size} that overlap by {tiles.overlap}")
    if is_approximate(network, way, schedule):
        words.append("approximate in time")
    elif tiles:
        words.append("exact in time within a tile")
    if getattr(schedule, "park", False):
        words.append("features in RAM")
    return f"OD-VAE {way}: {', '.join(words)}"


def is_approximate(network: VideoVAE, way: str, schedule: Schedule) -> bool:
    """Whether a clip longer than one piece comes out other than whole."""
    streams = direction_of(network, way).streams_exactly
    return isinstance(schedule, Windows) or (isinstance(schedule, Stream) and not streams)


def count_steps(
    network: VideoVAE, way: str, frames: int, size: tuple[int, int], choice: Choice
) -> int:
    """The steps of a streamed clip of so many input frames, for its bar; `size` in pixels."""
    schedule, tiles = choice
    return schedule.count(direction_of(network, way), frames) * count_tiles(tiles, *size)
