"""`odvae decode`: a file of latents to a video."""

import logging
from argparse import Namespace

from ..latents import LatentFile
from ..layers.coder_pass import Coding
from ..padding import crop_stream
from ..video import VideoWriter
from .clips import check_outputs, show_frames, split_frames
from .measure import Stopwatch
from .model import Model, open_model
from .result import Result

log = logging.getLogger(__name__)

READ = 4  # latent frames read at a time; schedules cut anew


def run(options: Namespace) -> Result:
    """Decode frame by frame into the clip's own size, number of frames and times."""
    check_outputs(options, options.output)
    file = LatentFile(options.input)
    model = open_model(options, file.info.size, (Coding.DECODE,))
    file.check(model.vae)
    warn_of_another_checkpoint(file, model)
    seconds = write(model, file, options)
    info = file.info
    facts = {
        "output": options.output,
        "frames": info.frames,
        "size": (info.height, info.width),
        "frames_per_second": info.frames / seconds,
        "run": model.describe(),
        "checkpoint_sha256": model.checkpoint_sha256,
    }
    lines = [
        f"wrote   {options.output} ({info.frames} frames of {info.height}x{info.width})",
        f"speed   {facts['frames_per_second']:.1f} frames/s, reading and decoding",
        f"run     {facts['run']}",
    ]
    return Result(facts, lines)


def write(model: Model, file: LatentFile, options: Namespace) -> float:
    """Write the video; return the seconds spent on decoding."""
    info, watch = file.info, Stopwatch()
    frames = split_frames(crop_stream(model.decode(file.chunks(READ)), info.size))
    shown = show_frames(watch.over(frames), "decode", info.frames)
    with VideoWriter(
        options.output,
        (info.height, info.width),
        info.fps,
        quality=options.quality,
        audio_from=options.audio_from,
    ) as output:
        for frame, time in zip(shown, file.times, strict=True):
            output.write(frame, [time])
    return watch.seconds


def warn_of_another_checkpoint(file: LatentFile, model: Model) -> None:
    """Latents of a fine-tuned sister can be decoded on purpose, but are rarely meant to."""
    theirs, ours = file.info.checkpoint_sha256, model.checkpoint_sha256
    if theirs != ours:
        log.warning(
            "%s was encoded with another checkpoint (sha256 %s, this one is %s): "
            "the video will be off unless they are akin",
            file.path,
            theirs,
            ours,
        )
