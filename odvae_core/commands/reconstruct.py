"""`odvae reconstruct`: encodes and decodes a video, file to file."""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor

from ..metrics import MetricCollector, quantize
from ..metrics.fidelity import WINDOW
from ..padding import ClipSize, crop, pad_stream
from ..video import ChunkRecorder, VideoReader, VideoWriter
from .clip_io import (
    READ_FRAMES,
    check_outputs,
    expected_size,
    frame_progress_bar,
    open_clip,
    split_frames,
)
from .model import Model, draw_latents, load_model
from .output import Result, format_bytes
from .profiling import PeakMemory, Stopwatch


def run_reconstruct(options: Namespace) -> Result:
    """Write the reconstruction and, if wanted, both side by side; report quality and speed."""
    check_outputs(options, options.output, options.side_by_side)
    with open_clip(options) as reader:
        model = load_model(options, expected_size(reader))
        stopwatch = Stopwatch()
        measurable = min(reader.size) >= WINDOW
        metrics = MetricCollector(("psnr", "ssim") if measurable else ("psnr",))
        with PeakMemory(model.device) as memory:
            frames = stopwatch.time_items(reconstruct(model, reader, options))
            count = write_reconstruction(frames, reader, metrics, options)
    facts = {
        "output": options.output,
        "side_by_side": options.side_by_side,
        "frames": count,
        "size": reader.size,
        **metrics.means(),
        "frames_per_second": count / stopwatch.seconds,
        "peak_memory_bytes": memory.bytes,
        "run": model.describe(),
        "checkpoint_sha256": model.checkpoint_sha256,
    }
    return Result(facts, describe_reconstruction(facts))


def reconstruct(model: Model, reader: VideoReader, options: Namespace) -> Iterator[Tensor]:
    """The clip's frames [1, 3, 1, H, W], encoded and decoded."""
    video = ChunkRecorder().record(reader.chunks(READ_FRAMES))
    latents = draw_latents(model.encode(pad_stream(video, model.vae)), options)
    for frame in split_frames(model.decode(latents)):
        yield crop(frame, ClipSize(1, *reader.size))


def write_reconstruction(
    frames: Iterator[Tensor], reader: VideoReader, metrics: MetricCollector, options: Namespace
) -> int:
    """Write and measure the frames; return their number.

    The clip is read a second time for the frames' times and for the comparison.
    """
    height, width = reader.size
    count = 0
    with ExitStack() as stack:

        def open_output(path: Any, size: tuple[int, int]) -> VideoWriter:
            writer = VideoWriter(
                path, size, reader.fps, quality=options.quality, audio_from=options.input
            )
            return stack.enter_context(writer)

        output = open_output(options.output, (height, width))
        side_by_side = None
        if options.side_by_side:
            side_by_side = open_output(options.side_by_side, (height, 2 * width))
        frames = frame_progress_bar(frames, "reconstruct", reader.frame_count)
        for original, frame in zip(reader.chunks(1), frames, strict=False):  # without the padding
            metrics.add(quantize(frame), original.video)
            output.write(frame, original.times)
            if side_by_side:
                side_by_side.write(torch.cat([original.video, frame], dim=-1), original.times)
            count += 1
    return count


def describe_reconstruction(facts: dict[str, Any]) -> list[str]:
    """Files, quality, speed and memory, as lines of text."""
    height, width = facts["size"]
    written = [str(path) for path in (facts["output"], facts["side_by_side"]) if path]
    return [
        f"wrote   {', '.join(written)} ({facts['frames']} frames of {height}x{width})",
        f"quality {format_quality(facts)} (means over frames, 8-bit, before the video codec)",
        f"speed   {facts['frames_per_second']:.1f} frames/s, reading, encoding and decoding",
        f"memory  {format_bytes(facts['peak_memory_bytes'])} at most",
        f"run     {facts['run']}",
    ]


def format_quality(facts: dict[str, Any]) -> str:
    """PSNR, and SSIM unless the frames are smaller than its window."""
    psnr = f"PSNR {facts['psnr']:.2f} dB"
    return f"{psnr}, SSIM {facts['ssim']:.4f}" if "ssim" in facts else psnr
