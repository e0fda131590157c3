"""`odvae bench`: speed and memory of every schedule, on a clip of noise."""

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

from .measure import PeakMemory
from .model import Model, choose_schedule, open_model
from .option_groups import SCHEDULES
from .result import Result, describe_bytes


def run(options: Namespace) -> Result:
    """Time encoding and decoding by the schedule that was named, or by all."""
    model = open_model(options)
    clip = torch.rand(1, 3, options.clip_frames, *options.size, device=model.device) * 2 - 1
    model.vae.check_video(clip)
    model.vae.check_frames(options.clip_frames)
    names = SCHEDULES[1:] if options.schedule == "auto" else (options.schedule,)
    rows = [measure_schedule(name, model, clip, options) for name in names]
    facts = {
        "clip": f"{options.clip_frames} frames of {options.size[0]}x{options.size[1]}",
        "repeats": options.repeats,
        "environment": describe_environment(model),
        "checkpoint_sha256": model.vae.provenance.sha256,
        "schedules": rows,
    }
    return Result(facts, describe(facts))


def measure_schedule(name: str, model: Model, clip: Tensor, options: Namespace) -> dict[str, Any]:
    """Frames/s and peak bytes of one schedule in both directions, or why the model refuses it."""
    frames = None if name == "whole" else options.frames
    model = replace(model, schedule=choose_schedule(name, frames, model.vae))
    try:
        model.vae.encode(clip, model.schedule, model.tiles)  # warms up
    except ValueError as error:
        return {"schedule": name, "refused": str(error)}
    latent = model.vae.encode(clip, model.schedule, model.tiles).mode()
    ways = {
        "encode": lambda: model.vae.encode(clip, model.schedule, model.tiles),
        "decode": lambda: model.vae.decode(latent, model.schedule, model.tiles),
    }
    facts: dict[str, Any] = {"schedule": name, "run": model.describe()}
    for way, work in ways.items():
        with PeakMemory(model.device) as memory:
            seconds = statistics.median(
                time_once(work, model.device) for _ in range(options.repeats)
            )
        facts[f"{way}_frames_per_second"] = clip.shape[2] / seconds
        facts[f"{way}_peak_memory_bytes"] = memory.bytes
    return facts


def time_once(work: Callable[[], object], device: torch.device) -> float:
    """Seconds until the device is done."""
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def describe_environment(model: Model) -> str:
    """What the figures depend on."""
    device = model.device
    name = (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{os.cpu_count()} CPUs, {torch.get_num_threads()} threads"
    )
    dtype = str(next(model.vae.parameters()).dtype).removeprefix("torch.")
    return f"torch {torch.__version__}, Python {platform.python_version()}, {name}, {dtype}"


def describe(facts: dict[str, Any]) -> list[str]:
    """A table with its environment."""
    lines = [
        facts["environment"],
        f"{facts['clip']}, median of {facts['repeats']} runs",
        f"{'schedule':9} {'encode':>22} {'decode':>22}",
    ]
    for row in facts["schedules"]:
        if "refused" in row:
            lines.append(f"{row['schedule']:9} refused: {row['refused']}")
            continue
        cells = [describe_way(row, way) for way in ("encode", "decode")]
        lines.append(f"{row['schedule']:9} {cells[0]:>22} {cells[1]:>22}")
    return lines


def describe_way(row: dict[str, Any], way: str) -> str:
    """Speed and memory of one direction."""
    speed, memory = row[f"{way}_frames_per_second"], row[f"{way}_peak_memory_bytes"]
    return f"{speed:.1f} fps, {describe_bytes(memory)}"
