"""The cuts that a request allows, whether or not they fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from ..constants import PUBLISHED_TILES, PUBLISHED_WINDOWS
from ..layers.coder_pass import CoderPass
from ..schedules import Pieces, Schedule, Stream, Sweep, Whole, Windows
from ..tiling import Tiles
from ..vae import VideoVAE
from .request import Request, eighth

Candidate = tuple[Schedule, Tiles | None]

PIECES = (33, 9, 5)
"""Video frames of the pieces to choose from."""

BAND_ROWS = 64
"""Rows of the bands, where the whole picture doesn't fit. There is one size, since counting a plan
in bands takes seconds, and larger bands save a few per cent of the work."""

TILE_SIZES = (512, 384, 256, 192, 128)
"""Pixels of the tiles to choose from, where the whole picture doesn't fit."""


def list_cuts(vae: VideoVAE, coder: CoderPass, request: Request) -> list[Candidate]:
    """The cuts that a request allows, with its tiles, in no order.

    Raises `ValueError` where this network allows none.
    """
    request.check_coder(coder)
    schedules = list_pieces(vae, request) or LISTS[request.strategy](vae, coder, request)
    for schedule in schedules:
        if reason := schedule.refusal(coder):
            raise ValueError(
                f"got schedule {request.strategy!r} for a VAE that can't be cut so: {reason}; "
                "choose auto, whole or paper"
            )
    tiles = request.tiles(coder)
    if request.strategy == "published":
        tiles = tiles or published_tiles(vae)
    return [(schedule, tiles) for schedule in schedules]


def list_bands(coder: CoderPass, cuts: list[Candidate], park: bool) -> list[Candidate]:
    """The exact cut for little memory: the smallest pieces in bands of rows.

    `park` keeps what lies between bands on the host, if that is another memory.
    """
    smallest = find_smallest(coder, cuts)
    if isinstance(smallest, Stream | Sweep) and smallest.is_exact(coder):
        return [(replace(smallest, rows=BAND_ROWS, park=park), None)]
    return []


def find_smallest(coder: CoderPass, cuts: list[Candidate]) -> Schedule:
    """The schedule with the smallest pieces; the whole clip where there is no other."""
    schedules = [schedule for schedule, _ in cuts]
    in_pieces = [schedule for schedule in schedules if schedule.frames]
    return min(in_pieces or schedules, key=lambda schedule: sum(schedule.cut(coder)))


def list_smaller_tiles(coder: CoderPass, cuts: list[Candidate]) -> Iterator[tuple[Schedule, Tiles]]:
    """Cuts for little memory: the smallest pieces in ever smaller tiles, then windows in them,
    which keep no state between pieces."""
    smallest = find_smallest(coder, cuts)
    given = cuts[0][1]
    windows = [] if isinstance(smallest, Pieces) else [Windows(smallest.frames or PIECES[-1])]
    for schedule in (smallest.parked(), *windows):
        for size in TILE_SIZES:
            if given is None or size < given.size:
                yield schedule, Tiles(size, eighth(size, coder))


def list_pieces(vae: VideoVAE, request: Request) -> list[Schedule]:
    """The independent pieces into which a VAE's authors cut clips; empty where they don't.

    Another cut has other numbers of latent frames. Raises `ValueError` where one is requested.
    """
    if vae.piece_frames is None:
        return []
    if request.strategy in ("whole", "exact") or request.frames not in (None, vae.piece_frames):
        raise ValueError(
            f"got schedule {request.strategy!r}, frames = {request.frames} for the family "
            f"{vae.family}, whose clips are independent pieces of {vae.piece_frames} frames: "
            "choose auto, without frames"
        )
    return [Pieces(vae.piece_frames)]


def list_whole(vae: VideoVAE, coder: CoderPass, request: Request) -> list[Schedule]:
    return [Whole()]


def list_paper(vae: VideoVAE, coder: CoderPass, request: Request) -> list[Schedule]:
    """One window length both ways: the paper's, unless frames are given."""
    return [Windows(request.frames or Windows().frames)]


def list_published(vae: VideoVAE, coder: CoderPass, request: Request) -> list[Schedule]:
    """The windows of the authors' code for this preset, the whole clip where it has only tiles."""
    preset = find_preset(vae)
    if preset in PUBLISHED_WINDOWS:
        return [Windows.published(preset)]
    if preset in PUBLISHED_TILES:
        return [Whole()]
    known = sorted({*PUBLISHED_WINDOWS, *PUBLISHED_TILES})
    raise ValueError(
        f"got schedule 'published' for {preset or 'a configuration of its own'}; its authors "
        f"published no sizes, those of {', '.join(known)} are known: choose paper, with frames"
    )


def published_tiles(vae: VideoVAE) -> Tiles | None:
    """The tiles of the authors' code for this preset."""
    preset = find_preset(vae)
    return Tiles.published(preset) if preset in PUBLISHED_TILES else None


def find_preset(vae: VideoVAE) -> str:
    """The preset that a VAE was loaded as; "" where it equals none."""
    return getattr(vae.provenance, "preset", None) or ""


def list_exact(vae: VideoVAE, coder: CoderPass, request: Request) -> list[Schedule]:
    """Stream where that is exact, else Sweep."""
    return list_exact_pieces(coder, request) or [Sweep(request.frames or Sweep().frames)]


def list_stream(vae: VideoVAE, coder: CoderPass, request: Request) -> list[Schedule]:
    """Of any size where that is exact; else of the default size, on which the result depends."""
    exact = list_exact_pieces(coder, request) if coder.streams_exactly else []
    return exact or [Stream(request.frames or Stream().frames)]


def list_auto(vae: VideoVAE, coder: CoderPass, request: Request) -> list[Schedule]:
    """Whatever this network allows; the whole clip unless frames are given.

    A stream with the statistics of the frames so far is closer to the whole clip than windows
    (docs/schedules.md).
    """
    whole: list[Schedule] = [] if request.frames else [Whole()]
    pieces = list_exact_pieces(coder, request)
    if not coder.streams_exactly:
        streams = allowed(Stream, coder, request)
        pieces += streams or allowed(Windows, coder, request)
    return [*whole, *pieces]


def list_exact_pieces(coder: CoderPass, request: Request) -> list[Schedule]:
    kind = Stream if coder.streams_exactly else Sweep
    return allowed(kind, coder, request)


def allowed(kind: Callable[[int], Schedule], coder: CoderPass, request: Request) -> list[Schedule]:
    """A schedule in the sizes that the request leaves open, as far as it can cut this network."""
    sizes = PIECES if request.frames is None else (request.frames,)
    schedules = [kind(frames) for frames in sizes]
    return [schedule for schedule in schedules if schedule.refusal(coder) is None]


LISTS: dict[str, Callable[[VideoVAE, CoderPass, Request], list[Schedule]]] = {
    "auto": list_auto,
    "whole": list_whole,
    "paper": list_paper,
    "published": list_published,
    "exact": list_exact,
    "stream": list_stream,
}
"""The word of a strategy, and the schedules that it stands for."""
