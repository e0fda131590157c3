"""The model that the options ask for, and how it runs."""

import logging
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor
from tqdm import tqdm

from ..checkpoint import load
from ..layers.coder_pass import CoderPass, Coding
from ..padding import ClipSize
from ..planning import (
    Clip,
    FreeMemory,
    Plan,
    Request,
    available_memory,
    find_plans,
)
from ..posterior import Posterior
from ..schedules import Progress
from ..vae import VideoVAE

log = logging.getLogger(__name__)

BOTH = (Coding.DECODE, Coding.ENCODE)
"""Both passes; decoding, which needs more, is planned first."""

Result = TypeVar("Result")
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


@dataclass(frozen=True)
class Model:
    """A VAE with a plan for each pass that a command needs; clips and latents go by in chunks."""

    vae: VideoVAE
    plans: Mapping[Coding, Plan]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.vae.parameters()).device

    def encode(self, chunks: Iterable[Tensor]) -> Iterator[Posterior]:
        """Pieces of a clip of 1 + ck frames -> posteriors of consecutive latent frames."""
        plan = self.plans[Coding.ENCODE]
        if plan.schedule.bounded:
            return self.vae.encode_stream(chunks, plan.schedule, plan.tiles)
        return self._hold(self.vae.encode, chunks, plan)

    def decode(self, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Consecutive latent frames of a clip -> consecutive pieces of its video."""
        plan = self.plans[Coding.DECODE]
        if plan.schedule.bounded:
            return self.vae.decode_stream(chunks, plan.schedule, plan.tiles)
        return self._hold(self.vae.decode, chunks, plan)

    def _hold(
        self, run: Callable[..., Result], chunks: Iterable[Tensor], plan: Plan
    ) -> Iterator[Result]:
        """The whole clip at once, for the schedules that need it."""
        with show_steps(run.__name__) as progress:
            yield run(torch.cat(list(chunks), dim=2), plan.schedule, plan.tiles, progress)

    @property
    def checkpoint_sha256(self) -> str:
        """The sha256 of the file that the VAE was loaded from."""
        assert self.vae.provenance is not None
        return self.vae.provenance.sha256

    def describe(self) -> str:
        """How it runs, in one phrase."""
        weight = next(self.vae.parameters())
        told = {coding: plan.describe() for coding, plan in self.plans.items()}
        if len(set(told.values())) == 1:
            plans = next(iter(told.values()))
        else:
            plans = "; ".join(f"{coding.value} {plan}" for coding, plan in told.items())
        return f"{plans}, {str(weight.dtype).removeprefix('torch.')} on {weight.device}"


def open_model(options: Namespace, clip: ClipSize, passes: Sequence[Coding] = BOTH) -> Model:
    """Load the checkpoint and plan the passes of a clip from a file."""
    return plan_model(open_vae(options), make_request(options), clip, passes)


def open_vae(options: Namespace) -> VideoVAE:
    """Load the checkpoint in the type and on the device that the options ask for."""
    device = choose_device(options.device)
    return load(options.checkpoint, dtype=choose_dtype(options.dtype, device), device=device)


def make_request(options: Namespace) -> Request:
    """How the options ask for a clip to be cut."""
    return Request(options.schedule, options.frames, options.tile, options.overlap)


def plan_model(
    vae: VideoVAE, request: Request, clip: ClipSize, passes: Sequence[Coding] = BOTH
) -> Model:
    """The VAE with the best plans for a clip from a file.

    Both passes of a clip may run at a time, piece by piece, so the second that is named gets the
    memory that the first one leaves.
    """
    coders = {coding: vae.coder_pass(coding) for coding in passes}
    free = available_memory(next(vae.parameters()).device)
    plans: dict[Coding, Plan] = {}
    for coding, coder in coders.items():
        plans[coding] = plan_pass(vae, coder, clip.padded(vae), request, free)
        free = free.without(plans[coding].need)
    held = [plan.describe() for plan in plans.values() if not plan.schedule.bounded]
    if held:
        log.info("%s: the whole clip is held in memory; stream and paper don't", held[0])
    return Model(vae, plans)


def plan_pass(
    vae: VideoVAE, coder: CoderPass, size: ClipSize, request: Request, free: FreeMemory
) -> Plan:
    """The best plan for one pass of a clip of this size."""
    shape = (1, 3, size.frames, size.height, size.width)
    if coder.coding is Coding.DECODE:
        step = vae.spatial_compression
        frames = 1 + (size.frames - 1) // vae.temporal_compression
        shape = (1, vae.latent_channels, frames, size.height // step, size.width // step)
    clip = Clip(shape, next(vae.parameters()).device, held=False)
    return next(find_plans(vae, coder, clip, request, lambda _: free))


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


@contextmanager
def show_steps(title: str) -> Iterator[Progress]:
    """A bar on stderr (a terminal's only) that a pass over the whole clip moves."""
    with tqdm(desc=title, unit=" steps", disable=None, leave=False) as bar:

        def show(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show
