"""How much memory a way to cut a clip takes, and how much there is.

Nothing here is a formula of a network: a pass is run with tensors that have shapes but no values,
and the bytes that live at a time are counted. Activations grow with the picture's area, so one
small picture tells about every larger one.
"""

from __future__ import annotations

import weakref
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .registry import build
from .schedules import Direction, Report, Schedule, Stream, Sweep, Whole, Windows
from .tiling import Tiles
from .vae import VideoVAE

MARGIN = 1.02
"""What allocators keep for themselves (benchmarks/memory.py)."""

PROBE_SIDE = 64
"""Height and width of the picture that is counted, in pixels."""

DEVICE = torch.device("meta")
"""Stands for the network's device while counting; "cpu" stands for the host."""


@dataclass(frozen=True)
class Need:
    """Bytes at the peak, beyond the weights, the given clip and the returned one."""

    device: int
    host: int


class Ledger(TorchDispatchMode):
    """Counts the bytes of the tensors made under it, by kind of device, now and at the peak."""

    def __init__(self):
        super().__init__()
        self.live: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()
        self._known: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self.enter(tensor)
        if func is torch.ops.aten.convolution.default:
            self.note_scratch(args[0], result)
        return result

    def enter(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage in self._known:
            return
        self._known.add(storage)
        size, device = storage.nbytes(), tensor.device.type
        self.live[device] += size
        self.peak[device] = max(self.peak[device], self.live[device])
        weakref.finalize(storage, self.leave, device, size)

    def leave(self, device: str, size: int) -> None:
        self.live[device] -= size

    def note_scratch(self, *tensors: Tensor) -> None:
        """A convolution kernel may bring its input and its output to another layout."""
        device = tensors[0].device.type
        scratch = sum(tensor.nbytes for tensor in tensors)
        self.peak[device] = max(self.peak[device], self.live[device] + scratch)


def need(
    vae: VideoVAE, encoding: bool, shape: tuple[int, ...], schedule: Schedule, tiles: Tiles | None
) -> Need:
    """What encoding a video, or decoding a latent, of `shape` [B, C, T, H, W] takes.

    In the type of the VAE's weights. Raises `ValueError` where the schedule can't run this VAE.
    """
    batch, _, frames, height, width = shape
    pixels = 1 if encoding else vae.spatial_compression
    height, width = height * pixels, width * pixels
    if tiles is not None:
        height, width = min(height, tiles.size), min(width, tiles.size)
    dtype = next(vae.parameters()).dtype
    counted = count_frames(vae.config, dtype, encoding, frames, schedule)
    scale = batch * height * width / PROBE_SIDE**2 * MARGIN
    return Need(int(counted["meta"] * scale), int(counted["cpu"] * scale))


def count_frames(
    config: Any, dtype: torch.dtype, encoding: bool, frames: int, schedule: Schedule
) -> Counter[str]:
    """The bytes for `frames` input frames of the probe: past a few chunks they grow evenly."""
    vae = design(config, dtype)
    first, later = chunk_lengths(vae.encoding() if encoding else vae.decoding(), schedule)
    short, long = first + 2 * later, first + 4 * later
    if frames <= long:
        return count(config, dtype, encoding, frames, schedule)
    low, high = (count(config, dtype, encoding, n, schedule) for n in (short, long))
    steps = (frames - long) / (long - short)
    return Counter({key: int(high[key] + (high[key] - low[key]) * steps) for key in high})


def chunk_lengths(way: Direction, schedule: Schedule) -> tuple[int, int]:
    """Input frames of the first and of each later chunk; the whole clip grows by single latents."""
    if isinstance(schedule, Whole):
        return 1 + way.frames_in, way.frames_in
    if isinstance(schedule, Windows):
        return schedule.cut(way)
    assert isinstance(schedule, Stream | Sweep)
    return way.cut(schedule.frames)


@lru_cache(maxsize=512)
def count(
    config: Any, dtype: torch.dtype, encoding: bool, frames: int, schedule: Schedule
) -> Counter[str]:
    """The peak bytes of one pass over a probe clip of `frames` input frames, by kind of device."""
    vae = design(config, dtype)
    way = vae.encoding() if encoding else vae.decoding()
    side = PROBE_SIDE * way.pixels_in // vae.spatial_compression
    channels = 3 if encoding else vae.latent_channels
    # under inference mode a mode sees convolutions by other names
    with torch.inference_mode(False), torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True):
        clip = torch.empty(1, channels, frames, side, side, dtype=dtype)
        with Ledger() as ledger:
            returned = schedule.run_clip(way, clip, Report(None))
        ledger.peak["cpu"] -= returned.nbytes
    return ledger.peak


@lru_cache(maxsize=8)
def design(config: Any, dtype: torch.dtype) -> VideoVAE:
    """The network without weights."""
    with torch.device(DEVICE):
        return build(config).to(dtype)


def available_memory(device: torch.device) -> tuple[int, int]:
    """Bytes that can be had on `device` and on the host, a container's limit honoured."""
    host = min(psutil.virtual_memory().available, container_limit())
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return free + held, host
    if device.type == "mps":
        used = torch.mps.driver_allocated_memory()
        return torch.mps.recommended_max_memory() - used, host
    return host, host


def container_limit(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that a container may still take (cgroup v2, then v1); without a limit, very many."""
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        path = root / limit
        if path.exists() and (text := path.read_text().strip()).isdigit():
            return max(0, int(text) - int((root / used).read_text()))
    return 2**63
