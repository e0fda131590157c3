"""The VAE that the options select, and the plans with which it runs."""

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
from ..padding import ClipSize, latent_frames
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
"""Both passes. Decoding needs more memory and is planned first."""

Result = TypeVar("Result")
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


@dataclass(frozen=True)
class Model:
    """A VAE with a plan for each pass that a command needs; clips are processed in chunks."""

    vae: VideoVAE
    plans: Mapping[Coding, Plan]

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(self.vae.parameters()).device

    def encode(self, chunks: Iterable[Tensor]) -> Iterator[Posterior]:
        """Chunks of a clip of 1 + ck frames -> posteriors of consecutive latent frames."""
        plan = self.plans[Coding.ENCODE]
        if plan.schedule.bounded:
            return self.vae.encode_stream(chunks, plan.schedule, plan.tiles)
        return self._run_whole_clip(self.vae.encode, chunks, plan)

    def decode(self, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Consecutive latent frames of a clip -> consecutive chunks of its video."""
        plan = self.plans[Coding.DECODE]
        if plan.schedule.bounded:
            return self.vae.decode_stream(chunks, plan.schedule, plan.tiles)
        return self._run_whole_clip(self.vae.decode, chunks, plan)

    def _run_whole_clip(
        self, run: Callable[..., Result], chunks: Iterable[Tensor], plan: Plan
    ) -> Iterator[Result]:
        """Join the chunks and run the whole clip, for the schedules that need it."""
        with step_progress_bar(run.__name__) as progress:
            yield run(torch.cat(list(chunks), dim=2), plan.schedule, plan.tiles, progress)

    @property
    def checkpoint_sha256(self) -> str:
        """The sha256 of the file that the VAE was loaded from."""
        assert self.vae.provenance is not None
        return self.vae.provenance.sha256

    def describe(self) -> str:
        """The plans, dtype and device, in one phrase."""
        weight = next(self.vae.parameters())
        texts = {coding: plan.describe() for coding, plan in self.plans.items()}
        if len(set(texts.values())) == 1:
            plans = next(iter(texts.values()))
        else:
            plans = "; ".join(f"{coding.value} {text}" for coding, text in texts.items())
        return f"{plans}, {str(weight.dtype).removeprefix('torch.')} on {weight.device}"


def load_model(options: Namespace, clip: ClipSize, passes: Sequence[Coding] = BOTH) -> Model:
    """Load the checkpoint and plan the passes for a clip from a file."""
    return plan_model(load_vae(options), make_request(options), clip, passes)


def load_vae(options: Namespace, images: bool = False) -> VideoVAE:
    """Load the checkpoint in the options' dtype and device; with `images` also a 2D VAE's."""
    device = choose_device(options.device)
    dtype = choose_dtype(options.dtype, device)
    return load(options.checkpoint, dtype=dtype, device=device, images=images)


def make_request(options: Namespace) -> Request:
    """The request of the options: schedule, frames, tile and overlap."""
    return Request(options.schedule, options.frames, options.tile, options.overlap)


def plan_model(
    vae: VideoVAE, request: Request, clip: ClipSize, passes: Sequence[Coding] = BOTH
) -> Model:
    """The VAE with the best plans for a clip from a file.

    Both passes of a clip may run at the same time, chunk by chunk, so the second of `passes` gets
    the memory that the first one leaves.
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
    """The best plan for one pass over a clip of this size."""
    shape = (1, 3, size.frames, size.height, size.width)
    if coder.coding is Coding.DECODE:
        step = vae.spatial_compression
        frames = latent_frames(size.frames, vae)
        shape = (1, vae.latent_channels, frames, size.height // step, size.width // step)
    clip = Clip(shape, next(vae.parameters()).device, held=False)
    return next(find_plans(vae, coder, clip, request, lambda _: free))


def draw_latents(posteriors: Iterable[Posterior], options: Namespace) -> Iterator[Tensor]:
    """The mean of each posterior, or a sample. A seed gives the same sample for every schedule."""
    generator = torch.Generator().manual_seed(options.seed)
    for posterior in posteriors:
        yield posterior.mode() if options.posterior == "mean" else posterior.sample(generator)


def describe_posterior(options: Namespace) -> str:
    """Mean, or sample with its seed, as text."""
    return "mean" if options.posterior == "mean" else f"sample with seed {options.seed}"


def choose_device(name: str) -> torch.device:
    """The device of this name; `auto` is a GPU if there is one. Raises `ValueError` if it is not
    available."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # a build without CUDA asserts
        raise ValueError(
            f"got device {name!r}, which can't be used ({error}); try --device cpu"
        ) from error


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """The dtype of this name; `auto` is bf16 on a GPU that supports it, else fp32."""
    if name == "fp16" and device.type == "cpu":
        log.warning("fp16 is very slow on a CPU; use fp32 or bf16")
    if name != "auto":
        return DTYPES[name]
    fast = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.bfloat16 if fast else torch.float32


@contextmanager
def step_progress_bar(title: str) -> Iterator[Progress]:
    """A progress bar on stderr, if it is a terminal, for the steps of a pass over the whole
    clip."""
    with tqdm(desc=title, unit=" steps", disable=None, leave=False) as bar:

        def update(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield update
