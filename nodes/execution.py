"""Clips through a VAE by the best plan that fits, and by the next one on out-of-memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

import comfy.model_management as mm
import comfy.sd
import torch
from torch import Tensor

from ..odvae_core.layers.coder_pass import Coding
from ..odvae_core.planning import Plan, Request
from ..odvae_core.posterior import Posterior
from ..odvae_core.tiling import count_tiles
from ..odvae_core.vae import VideoVAE
from .feedback import CancelCheck, Progress
from .memory import plan_pass
from .request import network_of

log = logging.getLogger(__name__)

OUT_OF_MEMORY = ("out of memory", "can't allocate memory")

Say = Callable[[str], None]
Result = TypeVar("Result")


def encode_clip(
    vae: comfy.sd.VAE, video: Tensor, request: Request, progress: Progress, say: Say = log.info
) -> Posterior:
    """Video [1, 3, 1 + 4k, H, W] in [-1, 1] -> posterior, where ComfyUI keeps what nodes
    exchange."""
    network, video = network_of(vae), video.to(vae.output_device)

    def attempt(plan: Plan) -> Posterior:
        say(describe_pass(Coding.ENCODE, plan))
        return network.encode(video, plan.schedule, plan.tiles, progress)

    plans = plan_pass(vae, network, Coding.ENCODE, tuple(video.shape), request)
    return take_first_that_fits(plans, attempt)


def decode_clips(
    vae: comfy.sd.VAE, latents: Tensor, request: Request, progress: Progress, say: Say = log.info
) -> list[Tensor]:
    """Latents [B, C, T, h, w] -> B videos [1, 3, F, H, W], where ComfyUI keeps what nodes exchange.

    One plan serves all clips, with room for all results.
    """
    network = network_of(vae)
    latents = latents.to(vae.output_device, torch.float32)
    progress.parts = len(latents)

    def attempt(plan: Plan) -> list[Tensor]:
        say(describe_pass(Coding.DECODE, plan))
        videos = []
        for part, latent in enumerate(latents.split(1)):
            progress.begin(part)
            videos.append(network.decode(latent, plan.schedule, plan.tiles, progress))
        return videos

    shape, copies = (1, *latents.shape[1:]), len(latents) * (2 if len(latents) > 1 else 1)
    plans = plan_pass(vae, network, Coding.DECODE, shape, request, results=copies)
    return take_first_that_fits(plans, attempt)


def take_first_that_fits(plans: Iterable[Plan], attempt: Callable[[Plan], Result]) -> Result:
    """`attempt` one plan after the other, until one doesn't run out of memory.

    Raises `MemoryError` where all do; any other error, and a cancel, passes through.
    """
    for plan in plans:
        try:
            with CancelCheck():
                return attempt(plan)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # Behind the except block, where the failed run's tensors are gone.
        mm.soft_empty_cache()
        log.warning("OD-VAE: out of memory with %s", plan.describe())
    raise MemoryError(
        "out of memory even with the smallest pieces: set schedule to auto, or tile to 256 or "
        "less, close what else uses the card, or run ComfyUI with --cpu-vae"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: what ComfyUI calls so, or an error of PyTorch that says so in words
    alone, as on the CPU, where it has no error type of its own for it."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    # 0.33 has it, and it also clears what such an error leaves on the device.
    if hasattr(mm, "is_oom") and mm.is_oom(error):
        return True
    says = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in says for words in OUT_OF_MEMORY)


def describe_pass(coding: Coding, plan: Plan) -> str:
    """What runs and how, in one line."""
    return f"OD-VAE {coding.value}: {plan.describe()}"


def count_steps(network: VideoVAE, coding: Coding, shape: tuple[int, ...], plan: Plan) -> int:
    """The steps of a streamed input of `shape` [1, C, T, H, W], for its bar."""
    coder = network.coder_pass(coding)
    tiles = count_tiles(plan.tiles, *coder.picture_size(shape))
    return plan.schedule.count(coder, shape[2]) * tiles
