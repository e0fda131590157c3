"""From a request to a plan: the best cut that fits into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

from ..constants import INDEX_LIMIT
from ..layers.coder_pass import CoderPass
from ..schedules import Schedule
from ..tiling import Tiles
from ..vae import VideoVAE
from .available import FreeMemory
from .candidates import BAND_ROWS, Candidate, list_bands, list_cuts, list_smaller_tiles
from .cost import cost_of, equals_whole
from .need import Clip, Need, count_need
from .request import Request


@dataclass(frozen=True)
class Plan:
    """How one pass runs: its schedule and tiles, whether it equals the whole clip, what it needs.

    `exact` is about time: with tiles it holds within a tile.
    """

    schedule: Schedule
    tiles: Tiles | None
    exact: bool
    need: Need

    def describe(self) -> str:
        """The plan in the words of nodes and commands."""
        words = [self.schedule.word]
        if self.schedule.frames:
            words.append(f"{self.schedule.frames} frames at a time")
        if self.schedule.rows:
            words.append(f"bands of {self.schedule.rows} rows")
        if self.tiles:
            words.append(f"tiles of {self.tiles.size} that overlap by {self.tiles.overlap}")
        if not self.exact:
            words.append("approximate in time")
        else:
            words.append("exact in time within a tile" if self.tiles else "exact")
        if self.schedule.park:
            words.append("features in host memory")
        return ", ".join(words)


def find_plans(
    vae: VideoVAE,
    coder: CoderPass,
    clip: Clip,
    request: Request,
    find_free: Callable[[Need], FreeMemory],
) -> Iterator[Plan]:
    """The plans for a request that fit into memory, the best first, each to be tried where the one
    before ran out of memory all the same.

    `find_free` is called once, with the need of the best plan, so that it can free memory, and
    returns what is free. A strategy other than auto may run out of the device's memory, which is an
    error that can be caught, but not of the host's. Raises `ValueError` where the network can't be
    run as requested, and `MemoryError` where no plan fits.
    """
    cuts = rank(coder, clip, request, list_cuts(vae, coder, request))
    best = make_plan(vae, coder, clip, next(cuts))
    free = find_free(best.need)
    found, leanest = False, best
    for plan in chain([best], (make_plan(vae, coder, clip, cut) for cut in cuts)):
        leanest = min(leanest, plan, key=lambda plan: plan.need.device)
        if fits(plan.need, clip, free):
            found = True
            yield plan
    if not found and (request.strategy == "auto" or not fits_host(leanest.need, clip, free)):
        raise MemoryError(describe_shortage(clip, leanest.need, free))
    if not found:
        yield leanest


def rank(
    coder: CoderPass, clip: Clip, request: Request, cuts: list[Candidate]
) -> Iterator[Candidate]:
    """The cuts by cost, the best first; with features on the host too where that is apart.

    Then those for less memory: bands of rows, which are exact, and for auto tiles. Tiles are left
    out where the picture is no larger than one.
    """
    side = max(coder.picture_size(clip.shape))
    cuts = [(schedule, tiles if tiles and tiles.size < side else None) for schedule, tiles in cuts]
    parked = [] if clip.on_cpu else [(schedule.parked(), tiles) for schedule, tiles in cuts]
    different = dict.fromkeys([*cuts, *parked])
    yield from sorted(different, key=lambda cut: cost_of(coder, *cut, clip))
    if request.tile is None and request.strategy != "stream" and side > BAND_ROWS:
        yield from list_bands(coder, cuts, park=not clip.on_cpu)
    if request.strategy == "auto":
        yield from (cut for cut in list_smaller_tiles(coder, cuts) if cut[1].size < side)


def make_plan(vae: VideoVAE, coder: CoderPass, clip: Clip, cut: Candidate) -> Plan:
    schedule, tiles = cut
    need = count_need(vae, coder, clip, schedule, tiles)
    return Plan(schedule, tiles, equals_whole(coder, schedule, clip), need)


def fits(need: Need, clip: Clip, free: FreeMemory) -> bool:
    """Whether what isn't in memory already fits, in tensors that 32-bit indices can address."""
    if need.largest >= INDEX_LIMIT:
        return False
    if clip.on_network_device:
        return free.holds(need.device - need.given, need.host)
    return free.holds(need.device, need.host - need.given)


def fits_host(need: Need, clip: Clip, free: FreeMemory) -> bool:
    """Whether the host's share fits; where both are the same memory, all of it."""
    return not free.shared and free.holds(
        0, need.host - (0 if clip.on_network_device else need.given)
    )


def describe_shortage(clip: Clip, need: Need, free: FreeMemory) -> str:
    where = f"{to_gib(need.device)} on the device and {to_gib(need.host)} on the host"
    there = f"{to_gib(free.device)} and {to_gib(free.host)}"
    if free.shared:
        where, there = to_gib(need.device + need.host), to_gib(free.host)
    return (
        f"a clip of shape {list(clip.shape)} needs at least {where}, but only {there} are free: "
        "take fewer frames, a smaller size, tiles or a smaller dtype, free memory, or work from "
        "file to file, which holds a few frames at a time (the nodes Encode Video File and Decode "
        "to Video File, the commands `odvae encode` and `odvae decode`)"
    )


def to_gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
