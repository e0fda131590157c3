"""The model that the options ask for, and how it runs."""

import logging
from argparse import Namespace
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from ..checkpoint import load
from ..constants import PUBLISHED_WINDOWS
from ..cuts import fitting_cuts
from ..fit import ClipSize
from ..memory import available_memory
from ..posterior import Posterior
from ..schedules import Progress, Schedule, Stream, Sweep, Whole, Windows
from ..tiling import Tiles
from ..vae import VideoVAE

log = logging.getLogger(__name__)

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
CUTS = {"exact": Sweep, "stream": Stream, "paper": Windows}


@dataclass(frozen=True)
class Model:
    """A VAE with schedule and tiles: clips and latents come and go in chunks in any schedule."""

    vae: VideoVAE
    schedule: Schedule
    tiles: Tiles | None

    @property
    def streams(self) -> bool:
        """Whether memory is bounded: the other schedules hold the clip."""
        return isinstance(self.schedule, Stream | Windows)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.vae.parameters()).device

    def encode(self, chunks: Iterable[Tensor]) -> Iterator[Posterior]:
        """Pieces of a clip of 1 + ck frames -> posteriors of consecutive latent frames."""
        if self.streams:
            yield from self.vae.encode_stream(chunks, self.schedule, self.tiles)
            return
        with show_steps("encode") as progress:
            yield self.vae.encode(
                torch.cat(list(chunks), dim=2), self.schedule, self.tiles, progress
            )

    def decode(self, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Consecutive latent frames of a clip -> consecutive pieces of its video."""
        if self.streams:
            yield from self.vae.decode_stream(chunks, self.schedule, self.tiles)
            return
        latent = torch.cat(list(chunks), dim=2)
        with show_steps("decode") as progress:
            video = self.vae.decode(latent, self.schedule, self.tiles, progress)
        yield video

    @property
    def exact(self) -> bool:
        """Whether the schedule equals the whole clip, in both directions."""
        if isinstance(self.schedule, Stream):
            return self.vae.encoding().streams_exactly and self.vae.decoding().streams_exactly
        return not isinstance(self.schedule, Windows)

    def describe(self) -> str:
        """How it runs, in one phrase."""
        weight = next(self.vae.parameters())
        schedule = f"{self.schedule} ({'exact' if self.exact else 'approximate'})"
        tiles = "no tiles" if self.tiles is None else f"{self.tiles} (exact within a tile only)"
        return f"{schedule}, {tiles}, {str(weight.dtype).removeprefix('torch.')} on {weight.device}"


def open_model(options: Namespace, clip: ClipSize | None = None) -> Model:
    """Load the checkpoint and settle schedule, tiles, type and device.

    `auto` takes the best cut that fits a `clip` of known size into memory.
    """
    model = choose_model(open_vae(options), options, clip)
    if not model.streams:
        log.info("%s holds the whole clip in memory; stream and paper don't", model.schedule)
    return model


def open_vae(options: Namespace) -> VideoVAE:
    """Load the checkpoint in the type and on the device that the options ask for."""
    device = choose_device(options.device)
    return load(options.checkpoint, dtype=choose_dtype(options.dtype, device), device=device)


def choose_model(vae: VideoVAE, options: Namespace, clip: ClipSize | None) -> Model:
    """The VAE with the schedule and tiles that the options ask for; `auto` is as `open_model`'s."""
    tiles = choose_tiles(options, vae)
    if options.schedule == "auto" and options.frames is None and tiles is None and clip is not None:
        return fit_model(vae, clip.padded(vae), next(vae.parameters()).device)
    return Model(vae, choose_schedule(options.schedule, options.frames, vae), tiles)


def fit_model(vae: VideoVAE, clip: ClipSize, device: torch.device) -> Model:
    """The best cut whose decoding, the dearer direction, fits into memory.

    A clip from a file is never run whole where the network can be cut exactly: it may be long.
    """
    frames = 1 + (clip.frames - 1) // vae.temporal_compression
    height, width = (side // vae.spatial_compression for side in (clip.height, clip.width))
    shape = (1, vae.latent_channels, frames, height, width)
    cuts = fitting_cuts(vae, False, shape, *available_memory(device))
    whole = choose_way(vae) == "whole"
    cut = next(cut for cut in cuts if whole or not isinstance(cut.schedule, Whole))
    return Model(vae, cut.schedule, cut.tiles)


def draw_latents(posteriors: Iterable[Posterior], options: Namespace) -> Iterator[Tensor]:
    """The mean of each posterior, or a sample; a seed gives one latent, however the clip is cut."""
    generator = torch.Generator().manual_seed(options.seed)
    for posterior in posteriors:
        yield posterior.mode() if options.posterior == "mean" else posterior.sample(generator)


def describe_draw(options: Namespace) -> str:
    """How latents are drawn, in words."""
    return "mean" if options.posterior == "mean" else f"sample with seed {options.seed}"


def choose_device(name: str) -> torch.device:
    """`auto` is a GPU if there is one. Raises `ValueError` where the device is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # a build without CUDA asserts
        raise ValueError(
            f"got device {name!r}, which can't be used ({error}); try --device cpu"
        ) from error


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """`auto` is bf16 on a GPU that has it, else fp32."""
    if name == "fp16" and device.type == "cpu":
        log.warning("fp16 is very slow on a CPU; fp32 and bf16 aren't")
    if name != "auto":
        return DTYPES[name]
    fast = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.bfloat16 if fast else torch.float32


def choose_schedule(name: str, frames: int | None, vae: VideoVAE) -> Schedule:
    """The schedule of that name. Raises `ValueError` where it counts no frames but got some."""
    if name == "auto":
        name = choose_way(vae)
    if name == "whole" and frames is not None:
        raise ValueError(
            f"got --frames {frames}, but the clip is not cut: leave it out, "
            "or choose --schedule paper, exact or stream"
        )
    if name == "whole":
        return Whole()
    if name == "paper" and frames is None and vae.provenance.preset in PUBLISHED_WINDOWS:
        return Windows.published(vae.provenance.preset)
    return CUTS[name]() if frames is None else CUTS[name](frames)


def choose_way(vae: VideoVAE) -> str:
    """Stream where it is exact, else the exact cut; whole where the network can't be cut."""
    ways = vae.encoding(), vae.decoding()
    if any(way.whole_clip_only for way in ways):
        return "whole"
    return "stream" if all(way.streams_exactly for way in ways) else "exact"


def choose_tiles(options: Namespace, vae: VideoVAE) -> Tiles | None:
    """Tiles of --tile pixels that overlap by --overlap, or by an eighth."""
    if options.tile is None:
        if options.overlap is not None:
            raise ValueError(f"got --overlap {options.overlap} without tiles: add --tile 256, say")
        return None
    step = vae.spatial_compression
    eighth = options.tile // 8 // step * step
    tiles = Tiles(options.tile, eighth if options.overlap is None else options.overlap)
    tiles.check(step)
    return tiles


@contextmanager
def show_steps(title: str) -> Iterator[Progress]:
    """A bar on stderr (a terminal's only) that a pass over the whole clip moves."""
    with tqdm(desc=title, unit=" steps", disable=None, leave=False) as bar:

        def show(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show
