"""`odvae reconstruct`: a video through the VAE and back, file to file."""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from ..padding import ClipSize, crop, pad_stream
from ..video import VideoReader, VideoWriter
from .clips import (
    Reading,
    check_outputs,
    measure_clip,
    open_clip,
    show_frames,
    split_frames,
)
from .measure import PeakMemory, Scores, Stopwatch
from .model import Model, draw_latents, open_model
from .result import Result, describe_bytes


def run(options: Namespace) -> Result:
    """Write the reconstruction (and both side by side); say how near, how fast and how large."""
    check_outputs(options, options.output, options.side_by_side)
    with open_clip(options) as reader:
        model = open_model(options, measure_clip(reader))
        watch, scores = Stopwatch(), Scores()
        with PeakMemory(model.device) as memory:
            frames = watch.over(reconstruct(model, reader, options))
            count = write(frames, reader, scores, options)
    facts = {
        "output": options.output,
        "side_by_side": options.side_by_side,
        "frames": count,
        "size": reader.size,
        **scores.means(),
        "frames_per_second": count / watch.seconds,
        "peak_memory_bytes": memory.bytes,
        "run": model.describe(),
        "checkpoint_sha256": model.checkpoint_sha256,
    }
    return Result(facts, describe(facts))


def reconstruct(model: Model, reader: VideoReader, options: Namespace) -> Iterator[Tensor]:
    """The clip's frames [1, 3, 1, H, W], encoded and decoded."""
    reading = Reading(reader)
    latents = draw_latents(model.encode(pad_stream(reading.chunks(), model.vae)), options)
    for frame in split_frames(model.decode(latents)):
        yield crop(frame, ClipSize(1, *reader.size))


def write(frames: Iterator[Tensor], reader: VideoReader, scores: Scores, options: Namespace) -> int:
    """Write the frames beside a second reading of the clip: it gives their times and number."""
    height, width = reader.size
    count = 0
    with ExitStack() as stack:

        def open_output(path: Any, size: tuple[int, int]) -> VideoWriter:
            writer = VideoWriter(
                path, size, reader.fps, quality=options.quality, audio_from=options.input
            )
            return stack.enter_context(writer)

        output = open_output(options.output, (height, width))
        beside = options.side_by_side and open_output(options.side_by_side, (height, 2 * width))
        shown = show_frames(frames, "reconstruct", reader.frame_count)
        for original, frame in zip(
            reader.chunks(1), shown, strict=False
        ):  # padding may have added frames
            scores.add(original.video, frame)
            output.write(frame, original.times)
            if beside:
                beside.write(torch.cat([original.video, frame], dim=-1), original.times)
            count += 1
    return count


def describe(facts: dict[str, Any]) -> list[str]:
    """The result as a person reads it."""
    height, width = facts["size"]
    written = [str(path) for path in (facts["output"], facts["side_by_side"]) if path]
    return [
        f"wrote   {', '.join(written)} ({facts['frames']} frames of {height}x{width})",
        f"quality {describe_quality(facts)} (means over frames, 8-bit, before the video codec)",
        f"speed   {facts['frames_per_second']:.1f} frames/s, reading, encoding and decoding",
        f"memory  {describe_bytes(facts['peak_memory_bytes'])} at most",
        f"run     {facts['run']}",
    ]


def describe_quality(facts: dict[str, Any]) -> str:
    """PSNR, and SSIM unless the frames are too small for it."""
    psnr = f"PSNR {facts['psnr']:.2f} dB"
    return f"{psnr}, SSIM {facts['ssim']:.4f}" if "ssim" in facts else psnr
