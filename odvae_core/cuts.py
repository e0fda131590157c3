"""The ways to cut a clip, and the best one that fits into memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .memory import Need, need
from .schedules import Direction, Schedule, Stream, Sweep, Whole, Windows
from .tiling import Tiles
from .vae import VideoVAE

CUTS = (33, 17, 9, 5)
"""Frames of the schedules to try, largest first."""

TILE_SIZES = (512, 384, 256, 192, 128)
"""Pixels of the tiles to try, largest first; they overlap by an eighth."""

PARKED_SHARE = 0.7
"""Of the available host memory, how much parked features may take."""


@dataclass(frozen=True)
class Cut:
    """A schedule and tiles, what they need, and whether they equal the whole clip."""

    schedule: Schedule
    tiles: Tiles | None
    need: Need
    exact: bool


def list_cuts(way: Direction, parks: bool) -> Iterator[tuple[Schedule, Tiles | None, bool]]:
    """Ways to cut a clip, and whether each is exact, from the best to the last resort.

    The whole clip, exact cuts in ever smaller pieces, the same with parked features (where
    `parks`), approximate ones: in time, then in space too.
    """
    yield Whole(), None, True
    exact, approximate = sort_schedules(way)
    for schedule in exact:
        yield schedule, None, True
    for schedule in exact if parks else ():
        if isinstance(schedule, Sweep):
            yield Sweep(schedule.frames, park=True), None, True
    for schedule in approximate:
        yield schedule, None, False
    smallest = [*exact, *approximate][-1]
    for size in TILE_SIZES:
        yield smallest, Tiles(size, overlap=size // 8), False


def sort_schedules(way: Direction) -> tuple[list[Schedule], list[Schedule]]:
    """The exact and the approximate schedules of a network, each from large to small pieces.

    A stream with running statistics is closer to the whole clip than windows (docs/schedules.md).
    """
    windows: list[Schedule] = [Windows(frames) for frames in CUTS]
    streams: list[Schedule] = [Stream(frames) for frames in CUTS]
    if way.whole_clip_only:
        return [], windows
    if way.streams_exactly:
        return streams, []
    sweeps: list[Schedule] = [Sweep(frames) for frames in CUTS]
    return sweeps, windows if way.unstreamable else streams


def fitting_cuts(
    vae: VideoVAE, encoding: bool, shape: tuple[int, ...], device: int, host: int
) -> Iterator[Cut]:
    """The ways to cut a clip of `shape` [B, C, T, H, W] that fit, the best first.

    `device` and `host` are the bytes available; they are the same memory where the VAE is on the
    CPU. Take the next one where the first runs out of memory all the same. Raises `MemoryError`
    where none fits.
    """
    on_cpu = next(vae.parameters()).device.type == "cpu"
    way = vae.encoding() if encoding else vae.decoding()
    found = False
    for schedule, tiles, exact in list_cuts(way, parks=not on_cpu):
        needed = need(vae, encoding, shape, schedule, tiles)
        if fits(needed, device, host, on_cpu):
            found = True
            yield Cut(schedule, tiles, needed, exact)
    if not found:
        raise MemoryError(
            f"even in tiles of {TILE_SIZES[-1]} pixels this clip of shape {list(shape)} needs "
            f"{to_gib(needed.device)} on the device and {to_gib(needed.host)} on the host; "
            f"{to_gib(device)} and {to_gib(host)} are free: free memory or use a smaller type"
        )


def fits(needed: Need, device: int, host: int, on_cpu: bool) -> bool:
    if on_cpu:
        return needed.device + needed.host <= host
    return needed.device <= device and needed.host <= PARKED_SHARE * host


def to_gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
