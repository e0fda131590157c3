"""Which cuts to try, in what order, and the room that ComfyUI makes for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import comfy.model_management as mm
import comfy.sd
import torch

from ..odvae_core import cuts, memory
from ..odvae_core.schedules import Direction, Schedule, Stream, Sweep, Whole, Windows
from ..odvae_core.tiling import Tiles
from ..odvae_core.vae import VideoVAE
from .cut import Cut, network_of, window_of
from .foreign import ForeignVAE

Choice = tuple[Schedule, Tiles | None]


def list_cuts(
    vae: comfy.sd.VAE, network: VideoVAE, way: str, shape: tuple[int, ...], cut: Cut
) -> Iterator[Choice]:
    """The cuts to try, the best first; each is asked for when the one before ran out of memory.

    auto makes room for the whole clip, and chooses once the VAE is loaded: what then fits.
    """
    tiles = cut.tiles_for(*picture_size(network, way, shape))
    if isinstance(network, ForeignVAE):
        yield from list_foreign_cuts(vae, network, way, shape, cut, tiles)
        return
    shape = within_tile(network, way, shape, tiles)
    if cut.schedule != "auto":
        schedule = cut.schedule_for(network, direction_of(network, way))
        need = memory.need(network, way == "encode", shape, schedule, None).device
        make_room(vae, need)
        yield park(schedule) if need > list_memory(vae)[0] else schedule, tiles
        return
    make_room(vae, memory.need(network, way == "encode", shape, Whole(), None).device)
    for fitting in cuts.fitting_cuts(network, way == "encode", shape, *list_memory(vae)):
        yield fitting.schedule, fitting.tiles or tiles


def list_foreign_cuts(
    vae: comfy.sd.VAE,
    network: VideoVAE,
    way: str,
    shape: tuple[int, ...],
    cut: Cut,
    tiles: Tiles | None,
) -> Iterator[Choice]:
    """Another family's VAE: whole where its own estimate fits, then the paper's windows."""
    if cut.schedule != "auto":
        yield cut.schedule_for(network, direction_of(network, way)), tiles
        return
    need = getattr(vae, f"memory_used_{way}")(
        within_tile(network, way, shape, tiles), vae.vae_dtype
    )
    make_room(vae, need)
    if need <= list_memory(vae)[0]:
        yield Whole(), tiles
    yield from ((Windows(frames), tiles) for frames in cuts.CUTS)


def list_file_cuts(
    vae: comfy.sd.VAE, network: VideoVAE, way: str, size: tuple[int, int], cut: Cut
) -> Iterator[Choice]:
    """The cuts to try for a clip that is read piece by piece; `size` is its height and width.

    auto is stream where that is exact, else the paper's windows: a few frames in memory either way.
    """
    direction = direction_of(network, way)
    tiles = cut.tiles_for(*size)
    if cut.schedule != "auto":
        make_room(vae, 0)
        yield park(cut.schedule_for(network, direction)), tiles
        return
    foreign = isinstance(network, ForeignVAE)
    kind = Stream if direction.streams_exactly and not foreign else Windows
    largest = cuts.CUTS[0] if kind is Stream else window_of(network)
    first = (kind(largest), tiles)
    make_room(vae, 0 if foreign else need_of_file(network, way, size, first).device)
    available = list_memory(vae)
    on_cpu = vae.device.type == "cpu"
    for choice in list_pieces(kind, largest, tiles):
        if foreign or cuts.fits(need_of_file(network, way, size, choice), *available, on_cpu):
            yield choice


def list_pieces(
    kind: type[Stream | Windows], largest: int, tiles: Tiles | None
) -> Iterator[Choice]:
    """Fewer and fewer frames at a time, then smaller and smaller tiles."""
    yield from ((kind(frames), tiles) for frames in cuts.CUTS if frames <= largest)
    for side in cuts.TILE_SIZES:
        if tiles is None or side < tiles.size:
            yield kind(cuts.CUTS[-1]), Tiles(side, side // 8)


def need_of_file(network: VideoVAE, way: str, size: tuple[int, int], choice: Choice) -> memory.Need:
    """What a streamed clip takes, however long it is: as much as one of three pieces."""
    schedule, tiles = choice
    direction = direction_of(network, way)
    scale = direction.pixels_in / max(direction.pixels_in, direction.pixels_out)
    height, width = (max(1, round(side * scale)) for side in size)
    first, later = direction.cut(schedule.frames)
    channels = 3 if way == "encode" else network.latent_channels
    shape = (1, channels, first + 2 * later, height, width)
    return memory.need(network, way == "encode", shape, schedule, tiles)


def park(schedule: Schedule) -> Schedule:
    """The same, its features kept in host memory where it keeps any."""
    return replace(schedule, park=True) if isinstance(schedule, Sweep) else schedule


def make_room(vae: comfy.sd.VAE, need: float) -> None:
    """Load the VAE, and unload other models until `need` bytes are free, or the whole card is."""
    need = min(need, mm.get_total_memory(vae.device))
    mm.load_models_gpu([vae.patcher], memory_required=need, force_full_load=vae.disable_offload)


def list_memory(vae: comfy.sd.VAE) -> tuple[int, int]:
    """Bytes that are free on the VAE's device, by ComfyUI's count, and on the host."""
    _, host = memory.available_memory(torch.device("cpu"))
    return (host if vae.device.type == "cpu" else int(mm.get_free_memory(vae.device))), host


def estimate(vae: comfy.sd.VAE, way: str, shape: tuple[int, ...]) -> float:
    """Bytes that the best cut of this clip takes on the device, capped at what the device has."""
    network = network_of(vae)
    need = memory.need(network, way == "encode", shape, Whole(), None)
    return min(need.device, mm.get_total_memory(vae.device))


def within_tile(
    network: VideoVAE, way: str, shape: tuple[int, ...], tiles: Tiles | None
) -> tuple[int, ...]:
    """The shape of one tile of the clip."""
    if tiles is None:
        return shape
    scale = 1 if way == "encode" else network.spatial_compression
    side = tiles.size // scale
    return (*shape[:3], min(shape[3], side), min(shape[4], side))


def picture_size(network: VideoVAE, way: str, shape: tuple[int, ...]) -> tuple[int, int]:
    """Height and width in pixels of what goes in or comes out."""
    scale = 1 if way == "encode" else network.spatial_compression
    return shape[-2] * scale, shape[-1] * scale


def direction_of(network: VideoVAE, way: str) -> Direction:
    return network.encoding() if way == "encode" else network.decoding()
