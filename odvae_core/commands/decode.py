"""`odvae decode`: decodes a latent file to a video."""

import logging
from argparse import Namespace

from ..latents import LatentFile
from ..layers.coder_pass import Coding
from ..padding import crop_stream
from ..video import VideoWriter
from .clip_io import check_outputs, frame_progress_bar, split_frames
from .model import Model, load_model
from .output import Result
from .profiling import Stopwatch

log = logging.getLogger(__name__)

READ_FRAMES = 4  # latent frames read at a time; schedules split them again


def run_decode(options: Namespace) -> Result:
    """Decode to the clip's own size, number of frames and frame times."""
    check_outputs(options, options.output)
    file = LatentFile(options.input)
    model = load_model(options, file.info.size, (Coding.DECODE,))
    file.check_vae(model.vae)
    warn_if_checkpoint_differs(file, model)
    seconds = write_video(model, file, options)
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


def write_video(model: Model, file: LatentFile, options: Namespace) -> float:
    """Write the video; return the seconds spent on decoding."""
    info, stopwatch = file.info, Stopwatch()
    frames = split_frames(crop_stream(model.decode(file.chunks(READ_FRAMES)), info.size))
    frames = frame_progress_bar(stopwatch.time_items(frames), "decode", info.frames)
    with VideoWriter(
        options.output,
        (info.height, info.width),
        info.fps,
        quality=options.quality,
        audio_from=options.audio_from,
    ) as output:
        for frame, time in zip(frames, file.times, strict=True):
            output.write(frame, [time])
    return stopwatch.seconds


def warn_if_checkpoint_differs(file: LatentFile, model: Model) -> None:
    """Log a warning if the latents were encoded by another checkpoint."""
    encoded_with, loaded = file.info.checkpoint_sha256, model.checkpoint_sha256
    if encoded_with != loaded:
        log.warning(
            "%s was encoded with another checkpoint (sha256 %s, this one is %s): "
            "colours will be wrong unless both checkpoints share a latent space",
            file.path,
            encoded_with,
            loaded,
        )
