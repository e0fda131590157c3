"""How much memory a pass takes.

Nothing here is a formula of a network: a pass is run with tensors that have shapes but no values,
and the bytes that live at a time are counted. Activations grow with the picture's area, so one
small picture tells about every larger one; and so do the tiles, each with what it keeps.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from ..layers.coder_pass import CoderPass, Coding
from ..registry import build
from ..schedules import Report, Schedule
from ..tiling import Tiles, count_tiles
from ..vae import VideoVAE
from .tracker import LARGEST, FusedAttention, MemoryTracker

MARGIN = 1.02
"""What allocators keep for themselves (benchmarks/memory.py)."""

PROBE, PROBE_OVERLAP = (64, 64), 8
"""Height and width of the picture that is counted, and the overlap of its tiles, in pixels."""

DEVICE = torch.device("meta")
"""The device type that stands for the network's while counting; "cpu" is the host."""

CLIP_BYTES = 4
"""Bytes of a value of a clip: float32."""


@dataclass(frozen=True)
class Clip:
    """The input of a pass, as far as memory is concerned.

    `shape` is that of the input, [B, C, T, H, W]; `device` is where the network runs. `held`: the
    whole input is in memory, and so is the whole result; else both go by in pieces, as from file to
    file. `on_network_device`: they are there, not on the host. `results`: how many results of this
    shape live at a time.
    """

    shape: tuple[int, ...]
    device: torch.device
    held: bool = True
    on_network_device: bool = False
    results: int = 1

    @property
    def on_cpu(self) -> bool:
        """Whether the network's device is the host."""
        return self.device.type == "cpu"


@dataclass(frozen=True)
class Need:
    """Bytes at the peak, beyond the weights, of everything in memory at the same time.

    On the network's device, and on the host. `given` of them are the clip that is in memory
    already. `largest` counts the elements of the largest tensor, 0 where the schedule bounds them.
    """

    device: int
    host: int
    given: int = 0
    largest: int = 0


def count_need(
    vae: VideoVAE, coder: CoderPass, clip: Clip, schedule: Schedule, tiles: Tiles | None
) -> Need:
    """What a pass over a clip takes, in the type of the VAE's weights.

    Raises `ValueError` where the schedule can't run this VAE.
    """
    device, host, largest = count_work(vae, coder, clip.shape, schedule, tiles)
    given, result = count_clips(vae, coder, clip, schedule)
    if clip.on_network_device:
        device += given + result
    else:
        host += given + result
    return Need(device, host, given if clip.held else 0, largest)


def count_clips(vae: VideoVAE, coder: CoderPass, clip: Clip, schedule: Schedule) -> tuple[int, int]:
    """Bytes of the input and of the result that live beside the work."""
    batch, channels, frames = clip.shape[:3]
    height, width = coder.picture_size(clip.shape)
    encodes = coder.coding is Coding.ENCODE
    if encodes:
        height, width = height // vae.spatial_compression, width // vae.spatial_compression
    channels_out = 2 * vae.latent_channels if encodes else 3
    picture = batch * channels * prod(clip.shape[3:]) * CLIP_BYTES
    result = batch * channels_out * coder.output_frames(frames) * height * width * CLIP_BYTES
    if clip.held:
        return picture * frames, result * clip.results
    if schedule.bounded:  # two pieces: one is read while the other waits; only latents are kept
        return 2 * picture * min(frames, sum(schedule.cut(coder))), result if encodes else 0
    return 2 * picture * frames, result  # its pieces, and the clip that they are joined to


def count_work(
    vae: VideoVAE,
    coder: CoderPass,
    shape: tuple[int, ...],
    schedule: Schedule,
    tiles: Tiles | None,
) -> tuple[int, int, int]:
    """Bytes of the pass itself on the device and on the host, without clip and result, and the
    elements of its largest tensor."""
    height, width = coder.picture_size(shape)
    count = count_tiles(tiles, height, width)
    if tiles is not None:
        height, width = min(height, tiles.size), min(width, tiles.size)
    frames = shape[2]
    estimate = vae.estimate_bytes(coder, piece_shape(coder, shape, schedule, tiles))
    if estimate is not None:
        return estimate, 0, 0
    probe = PROBE
    if schedule.rows:  # a band is as wide as the picture, and its height is given
        probe = height, width
    dtype = next(vae.parameters()).dtype
    counted = count_frames(vae.config, dtype, coder.coding, frames, schedule, min(count, 2), probe)
    if count > 2:  # every further tile keeps as much as the second
        single = count_frames(vae.config, dtype, coder.coding, frames, schedule, 1, probe)
        counted = Counter(
            {key: counted[key] + (count - 2) * (counted[key] - single[key]) for key in counted}
        )
    scale = shape[0] * height * width / prod(probe) * MARGIN
    largest = 0 if schedule.splits_large_tensors else counted[LARGEST]
    return int(counted["meta"] * scale), int(counted["cpu"] * scale), int(largest * scale)


def piece_shape(
    coder: CoderPass, shape: tuple[int, ...], schedule: Schedule, tiles: Tiles | None
) -> tuple[int, ...]:
    """The shape of the largest piece that goes through the network at a time."""
    batch, channels, frames, height, width = shape
    if schedule.bounded:
        frames = min(frames, sum(schedule.cut(coder)))
    if tiles is not None:
        side = tiles.size * coder.pixels_in // coder.spatial_compression
        height, width = min(height, side), min(width, side)
    return batch, channels, frames, height, width


def count_frames(
    config: Any,
    dtype: torch.dtype,
    coding: Coding,
    frames: int,
    schedule: Schedule,
    tiles: int,
    probe: tuple[int, int] = PROBE,
) -> Counter[str]:
    """The bytes for `frames` input frames of the probe: past a few pieces they grow evenly."""
    vae = build_empty(config, dtype)
    first, later = schedule.cut(vae.coder_pass(coding))
    pieces = 1 if schedule.rows else 2  # many bands take long to count
    short, long = first + pieces * later, first + (pieces + 1) * later

    def count(frames: int) -> Counter[str]:
        return count_probe(config, dtype, coding, frames, schedule, tiles, probe)

    if schedule.bounded:
        return count(min(frames, short))
    if frames <= long:
        return count(frames)
    low, high = count(short), count(long)
    steps = (frames - long) / (long - short)
    return Counter({key: int(high[key] + (high[key] - low[key]) * steps) for key in high})


@lru_cache(maxsize=512)
def count_probe(
    config: Any,
    dtype: torch.dtype,
    coding: Coding,
    frames: int,
    schedule: Schedule,
    tiles: int,
    probe: tuple[int, int] = PROBE,
) -> Counter[str]:
    """The peak bytes of one pass over a clip of `frames` input frames, by kind of device.

    The picture, `probe` pixels high and wide, is one tile, or two beside each other, the result not
    counted.
    """
    vae = build_empty(config, dtype)
    coder = vae.coder_pass(coding)
    high, wide = probe
    cut = Tiles(wide, PROBE_OVERLAP, stop_at_border=True) if tiles > 1 else None
    sides = high, wide + (tiles - 1) * (wide - PROBE_OVERLAP)
    height, width = (side * coder.pixels_in // coder.spatial_compression for side in sides)
    channels = 3 if coding is Coding.ENCODE else vae.latent_channels
    # under inference mode a mode sees convolutions by other names
    with torch.inference_mode(False), torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True):
        clip = torch.empty(1, channels, frames, height, width, dtype=dtype)
        with FusedAttention(), MemoryTracker() as tracker:
            returned = schedule.run(coder, clip, cut, Report(None))
        tracker.peak["cpu"] -= returned.nbytes
    return tracker.peak


@lru_cache(maxsize=8)
def build_empty(config: Any, dtype: torch.dtype) -> VideoVAE:
    """The network without weights."""
    with torch.device(DEVICE):
        return build(config).to(dtype)
