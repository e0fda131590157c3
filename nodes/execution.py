"""Encode and decode clips with the best plan that fits, and with the next one on out-of-memory."""

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
from .comfy_vae import ComfyVideoVAE
from .memory import plan_pass
from .progress import CancelCheck, Progress
from .request import network_of

log = logging.getLogger(__name__)

OUT_OF_MEMORY = ("out of memory", "can't allocate memory")

Report = Callable[[str], None]
Result = TypeVar("Result")


def encode_clip(
    vae: comfy.sd.VAE,
    video: Tensor,
    request: Request,
    progress: Progress,
    report: Report = log.info,
) -> Posterior:
    """Video [1, 3, 1 + 4k, H, W] in [-1, 1] -> posterior, on ComfyUI's intermediate device."""
    network, video = network_of(vae), video.to(vae.output_device)

    def run_plan(plan: Plan) -> Posterior:
        report(describe_pass(network, Coding.ENCODE, plan))
        return network.encode(video, plan.schedule, plan.tiles, progress)

    plans = plan_pass(vae, network, Coding.ENCODE, tuple(video.shape), request)
    return run_first_plan_that_fits(plans, run_plan)


def decode_clips(
    vae: comfy.sd.VAE,
    latents: Tensor,
    request: Request,
    progress: Progress,
    report: Report = log.info,
) -> list[Tensor]:
    """Latents [B, C, T, h, w] -> B videos [1, 3, F, H, W], on ComfyUI's intermediate device.

    All clips use one plan, which leaves memory for all results.
    """
    network = network_of(vae)
    latents = latents.to(vae.output_device, torch.float32)
    progress.parts = len(latents)

    def run_plan(plan: Plan) -> list[Tensor]:
        report(describe_pass(network, Coding.DECODE, plan))
        videos = []
        for part, latent in enumerate(latents.split(1)):
            progress.start_part(part)
            videos.append(network.decode(latent, plan.schedule, plan.tiles, progress))
        return videos

    shape, copies = (1, *latents.shape[1:]), len(latents) * (2 if len(latents) > 1 else 1)
    plans = plan_pass(vae, network, Coding.DECODE, shape, request, results=copies)
    return run_first_plan_that_fits(plans, run_plan)


def run_first_plan_that_fits(plans: Iterable[Plan], run_plan: Callable[[Plan], Result]) -> Result:
    """Call `run_plan` with one plan after the other until one doesn't run out of memory.

    Raises `MemoryError` if all do. Other errors and ComfyUI's interrupt are not caught.
    """
    for plan in plans:
        try:
            with CancelCheck():
                return run_plan(plan)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # After the except block, which held references to the failed run's tensors.
        mm.soft_empty_cache()
        log.warning("OD-VAE: out of memory with %s", plan.describe())
    raise MemoryError(
        "out of memory even with the smallest pieces: set schedule to auto, or tile to 256 or "
        "less, close other programs that use the GPU, or run ComfyUI with --cpu-vae"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means out of memory.

    On the CPU PyTorch has no error type for it, so the text of a `RuntimeError` is searched.
    """
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    # ComfyUI 0.33 has `is_oom`, which also clears the CUDA error state.
    if hasattr(mm, "is_oom") and mm.is_oom(error):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in text for words in OUT_OF_MEMORY)


def describe_pass(network: VideoVAE, coding: Coding, plan: Plan) -> str:
    """Encode or decode and the plan, in one line; and why ComfyUI runs the VAE, where it does."""
    by_comfyui = f"; run by ComfyUI: {network.reason}" if isinstance(network, ComfyVideoVAE) else ""
    return f"OD-VAE {coding.value}: {plan.describe()}{by_comfyui}"


def count_steps(network: VideoVAE, coding: Coding, shape: tuple[int, ...], plan: Plan) -> int:
    """The number of steps for a streamed input of `shape` [1, C, T, H, W], for the progress bar."""
    coder = network.coder_pass(coding)
    tiles = count_tiles(plan.tiles, *coder.picture_size(shape))
    return plan.schedule.count(coder, shape[2]) * tiles
