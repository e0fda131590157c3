"""`odvae evaluate`: PSNR, SSIM and flicker on clips, in memory, never through a codec."""

import logging
from argparse import Namespace
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from ..fit import ClipSize, crop, pad
from ..metrics.fidelity import WINDOW
from ..video import VideoError, VideoReader
from .measure import Scores
from .model import Model, open_model
from .result import Result

log = logging.getLogger(__name__)

SUFFIXES = {".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".ts", ".webm"}
PLACES = ((0.5, 0.5), (0, 0), (0, 1), (1, 0), (1, 1))
"""Of the crops: the centre and the corners, as shares of the spare room down and to the right."""


def run(options: Namespace) -> Result:
    """Reconstruct crops of every clip from the mean of their posterior.

    A clip's figures are means over the frames of its crops, the last line's are means over clips.
    Clips that are too short, too small or broken are left out, named and counted.
    """
    check(options)
    paths = list_clips(options.inputs)
    model = open_model(options)
    clips, skipped = [], []
    for path in tqdm(paths, desc="evaluate", unit=" clips", disable=None):
        try:
            clips.append({"clip": path, **score_clip(path, model, options)})
        except VideoError as error:
            log.warning("left out: %s", error)
            skipped.append({"clip": path, "reason": str(error)})
    if not clips:
        raise VideoError(f"not one of {len(paths)} clips could be evaluated; the reasons are above")
    facts = {
        "protocol": describe_protocol(model, len(clips), options),
        "checkpoint_sha256": model.vae.provenance.sha256,
        "mean": {
            name: sum(clip[name] for clip in clips) / len(clips)
            for name in ("psnr", "ssim", "flicker")
        },
        "clips": clips,
        "skipped": skipped,
    }
    return Result(facts, describe(facts))


def check(options: Namespace) -> None:
    """Raise `ValueError` where the options of the crops can't be met by any clip."""
    if options.crops > len(PLACES):
        raise ValueError(
            f"got --crops {options.crops}; a piece has {len(PLACES)}: for more set --pieces"
        )
    if options.frames_per_clip < 2:
        raise ValueError(
            f"got --frames-per-clip {options.frames_per_clip}; flicker is between frames: "
            "give 2 or more"
        )
    if options.size < WINDOW:
        raise ValueError(f"got --size {options.size}; SSIM takes sides of {WINDOW} or more")
    if options.short_side is not None and options.short_side < options.size:
        raise ValueError(
            f"got --short-side {options.short_side}, smaller than the crops: "
            f"lower --size from {options.size} to it"
        )


def list_clips(inputs: list[Path]) -> list[Path]:
    """Files as they are, and the videos of folders in the order of their names."""
    paths: list[Path] = []
    for path in inputs:
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file or folder; check the path")
        videos = sorted(file for file in path.glob("*") if file.suffix.lower() in SUFFIXES)
        if path.is_dir() and not videos:
            raise FileNotFoundError(
                f"{path}: a folder without videos; they end in {', '.join(sorted(SUFFIXES))}"
            )
        paths += videos if path.is_dir() else [path]
    return paths


def score_clip(path: Path, model: Model, options: Namespace) -> dict[str, Any]:
    """The means over the frames of a clip's crops, and how many crops they are."""
    scores, count = Scores(), 0
    for video in cut_crops(path, options):
        chunks = model.encode([pad(video, model.vae)])
        decoded = list(model.decode(posterior.mode() for posterior in chunks))
        scores.add(video, crop(torch.cat(decoded, dim=2), ClipSize.of(video)))
        count += 1
    return {"crops": count, **scores.means()}


def cut_crops(path: Path, options: Namespace) -> Iterator[Tensor]:
    """Crops [1, 3, T, size, size] of consecutive pieces of a clip; none is enlarged.

    Raises `VideoError` where the clip is smaller than the short side, or shorter than a piece.
    """
    short_side = options.short_side or options.size
    with VideoReader(path) as reader:
        native = min(reader.size)
    if native < short_side:
        raise VideoError(
            f"{path}: has a short side of {native}, the protocol {short_side}; "
            "lower --short-side or --size"
        )
    pieces = 0
    with VideoReader(path, short_side=short_side, stride=options.stride) as reader:
        for chunk in islice(reader.chunks(options.frames_per_clip), options.pieces):
            if chunk.video.shape[2] < options.frames_per_clip:
                break
            pieces += 1
            for down, right in PLACES[: options.crops]:
                yield cut(chunk.video, options.size, down, right)
    if not pieces:
        raise VideoError(
            f"{path}: has fewer than {options.frames_per_clip} frames at stride {options.stride}; "
            "lower --frames-per-clip or --stride"
        )


def cut(video: Tensor, size: int, down: float, right: float) -> Tensor:
    """A square out of every frame, so far down and to the right."""
    height, width = video.shape[-2:]
    top, left = round(down * (height - size)), round(right * (width - size))
    return video[..., top : top + size, left : left + size]


def describe_protocol(model: Model, clips: int, options: Namespace) -> str:
    """All that the figures depend on, in one line."""
    return (
        f"{options.frames_per_clip}x{options.size}x{options.size}, stride {options.stride}, "
        f"short side {options.short_side or options.size}, crops {options.crops} (centre first), "
        f"pieces {options.pieces}, {clips} clips, posterior mean, rounded to 8 bits, "
        f"{model.describe()}, checkpoint {model.vae.provenance.sha256}"
    )


def describe(facts: dict[str, Any]) -> list[str]:
    """One line a clip, the means, and the protocol."""
    rows = [*facts["clips"], {"clip": f"mean of {len(facts['clips'])} clips", **facts["mean"]}]
    width = max(len(str(row["clip"])) for row in rows)
    lines = [f"{'clip':{width}}  PSNR dB    SSIM  flicker"]
    lines += [
        f"{row['clip']!s:{width}}  {row['psnr']:7.2f}  {row['ssim']:.4f}  {row['flicker']:.5f}"
        for row in rows
    ]
    if facts["skipped"]:
        lines.append(f"left out: {len(facts['skipped'])} clips, named above")
    return [*lines, f"protocol: {facts['protocol']}"]
