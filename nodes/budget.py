"""Which cuts to try, in what order, and the room that ComfyUI makes for them."""

from __future__ import annotations

from collections.abc import Iterator

import comfy.model_management as mm
import comfy.sd
import torch

from ..odvae_core.schedules import Direction, Schedule, Stream, Sweep, Whole, Windows
from ..odvae_core.tiling import Tiles
from ..odvae_core.vae import VideoVAE
from .cut import Cut, network_of
from .foreign import ForeignVAE

STREAM_FRAMES = (17, 9, 5)
WINDOW_FRAMES = (33, 17, 9, 5)
"""Video frames that auto works on at a time, the best first."""

Choice = tuple[Schedule, Tiles | None]


def list_cuts(
    vae: comfy.sd.VAE, network: VideoVAE, way: str, shape: tuple[int, ...], cut: Cut
) -> Iterator[Choice]:
    """The cuts to try, the best first; each is asked for when the one before ran out of memory."""
    tiles = cut.tiles_for(*picture_size(network, way, shape))
    if isinstance(network, ForeignVAE):
        yield from list_foreign_cuts(vae, network, way, shape, cut, tiles)
        return
    direction = direction_of(network, way)
    if cut.schedule != "auto":
        make_room(vae, estimate(vae, way, shape, vae.vae_dtype))
        yield cut.schedule_for(direction, park=vae.device.type != "cpu"), tiles
        return
    make_room(vae, estimate(vae, way, shape, vae.vae_dtype))
    yield from ((schedule, tiles) for schedule in (Whole(), Sweep(frames=9), Sweep(frames=5)))


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
        yield cut.schedule_for(direction_of(network, way), park=False), tiles
        return
    need = getattr(vae, f"memory_used_{way}")(shape, vae.vae_dtype)
    make_room(vae, need)
    if need <= mm.get_free_memory(vae.device):
        yield Whole(), tiles
    yield from ((Windows(frames), tiles) for frames in WINDOW_FRAMES)


def list_file_cuts(
    vae: comfy.sd.VAE, network: VideoVAE, way: str, size: tuple[int, int], cut: Cut
) -> Iterator[Choice]:
    """The cuts to try for a clip that is read piece by piece; `size` is its height and width.

    auto is stream where that is exact, else the paper's windows: a few frames in memory either way.
    """
    direction = direction_of(network, way)
    tiles = cut.tiles_for(*size)
    if cut.schedule != "auto":
        yield cut.schedule_for(direction, park=True), tiles
        return
    streams = direction.streams_exactly and not isinstance(network, ForeignVAE)
    for frames in STREAM_FRAMES if streams else WINDOW_FRAMES:
        yield (Stream(frames) if streams else Windows(frames)), tiles


def make_room(vae: comfy.sd.VAE, need: float) -> None:
    """Load the VAE, and unload other models until `need` bytes are free, or the whole card is."""
    need = min(need, mm.get_total_memory(vae.device))
    mm.load_models_gpu([vae.patcher], memory_required=need, force_full_load=vae.disable_offload)


def estimate(vae: comfy.sd.VAE, way: str, shape: tuple[int, ...], dtype: torch.dtype) -> float:
    """Bytes that the best cut of this clip needs on the device, capped at what the device has."""
    network = network_of(vae)
    height, width = picture_size(network, way, shape)
    frames = shape[2] * (1 if way == "encode" else network.temporal_compression)
    whole = 4 * 128 * frames * height * width * mm.dtype_size(dtype)
    return min(whole, mm.get_total_memory(vae.device))


def picture_size(network: VideoVAE, way: str, shape: tuple[int, ...]) -> tuple[int, int]:
    """Height and width in pixels of what goes in or comes out."""
    scale = 1 if way == "encode" else network.spatial_compression
    return shape[-2] * scale, shape[-1] * scale


def direction_of(network: VideoVAE, way: str) -> Direction:
    return network.encoding() if way == "encode" else network.decoding()
