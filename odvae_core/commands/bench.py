"""`odvae bench`: speed and memory of every schedule on a clip of noise."""

import os
import platform
import statistics
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..constants import STRATEGIES
from ..layers.coder_pass import Coding
from ..padding import ClipSize
from ..planning.request import UNCUT
from ..posterior import Posterior
from ..vae import VideoVAE
from .model import Model, load_vae, make_request, plan_model
from .output import Result, format_bytes
from .profiling import PeakMemory


def run_bench(options: Namespace) -> Result:
    """Measure encoding and decoding with the given schedule, or with all."""
    vae = load_vae(options)
    assert vae.provenance is not None
    device = next(vae.parameters()).device
    clip = torch.rand(1, 3, options.clip_frames, *options.size, device=device) * 2 - 1
    vae.check_video(clip)
    vae.check_frames(options.clip_frames)
    names = STRATEGIES[1:] if options.schedule == "auto" else (options.schedule,)
    rows = [time_strategy(name, vae, clip, options) for name in names]
    facts = {
        "clip": f"{options.clip_frames} frames of {options.size[0]}x{options.size[1]}",
        "repeats": options.repeats,
        "environment": describe_environment(vae),
        "checkpoint_sha256": vae.provenance.sha256,
        "schedules": rows,
    }
    return Result(facts, describe_bench(facts))


def time_strategy(name: str, vae: VideoVAE, clip: Tensor, options: Namespace) -> dict[str, Any]:
    """Frames/s and peak bytes of one schedule in both passes, or why the model rejects it."""
    frames = None if name in UNCUT else options.frames
    request = replace(make_request(options), strategy=name, frames=frames)
    try:
        model = plan_model(vae, request, ClipSize.of(clip))
        latent = encode_with_plan(model, clip).mode()  # also the warm-up run
        decoding = model.plans[Coding.DECODE]
    except (ValueError, MemoryError) as error:
        return {"schedule": name, "refused": str(error)}
    passes = {
        "encode": lambda: encode_with_plan(model, clip),
        "decode": lambda: vae.decode(latent, decoding.schedule, decoding.tiles),
    }
    facts: dict[str, Any] = {"schedule": name, "run": model.describe()}
    for coding, work in passes.items():
        with PeakMemory(clip.device) as memory:
            seconds = statistics.median(
                time_call(work, clip.device) for _ in range(options.repeats)
            )
        facts[f"{coding}_frames_per_second"] = clip.shape[2] / seconds
        facts[f"{coding}_peak_memory_bytes"] = memory.bytes
    return facts


def encode_with_plan(model: Model, clip: Tensor) -> Posterior:
    plan = model.plans[Coding.ENCODE]
    return model.vae.encode(clip, plan.schedule, plan.tiles)


def time_call(work: Callable[[], object], device: torch.device) -> float:
    """The seconds of a call, including the work of the device."""
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def describe_environment(vae: VideoVAE) -> str:
    """torch, Python, device and dtype, on which the results depend."""
    weight = next(vae.parameters())
    device = weight.device
    name = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{os.cpu_count()} CPUs, {torch.get_num_threads()} threads"
    )
    dtype = str(weight.dtype).removeprefix("torch.")
    return f"torch {torch.__version__}, Python {platform.python_version()}, {name}, {dtype}"


def describe_bench(facts: dict[str, Any]) -> list[str]:
    """A table with its environment, as lines of text."""
    lines = [
        facts["environment"],
        f"{facts['clip']}, median of {facts['repeats']} runs",
        f"{'schedule':9} {'encode':>22} {'decode':>22}",
    ]
    for row in facts["schedules"]:
        if "refused" in row:
            lines.append(f"{row['schedule']:9} refused: {row['refused']}")
            continue
        cells = [format_speed_and_memory(row, coding) for coding in ("encode", "decode")]
        lines.append(f"{row['schedule']:9} {cells[0]:>22} {cells[1]:>22}")
    return lines


def format_speed_and_memory(row: dict[str, Any], coding: str) -> str:
    """Speed and memory of one pass."""
    speed, memory = row[f"{coding}_frames_per_second"], row[f"{coding}_peak_memory_bytes"]
    return f"{speed:.1f} fps, {format_bytes(memory)}"
