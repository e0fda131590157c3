"""`odvae encode`: a video to a file of latents."""

from argparse import Namespace

import torch

from ..files.atomic import replacing
from ..latents import LatentInfo, check_suffix, write_latents
from ..layers.coder_pass import Coding
from ..padding import pad_stream
from ..version import read_version
from ..video import VideoReader
from .clips import Reading, check_outputs, measure_clip, open_clip, show_frames
from .model import Model, describe_draw, draw_latents, open_model
from .result import Result


def run(options: Namespace) -> Result:
    """Encode in bounded memory, but for the latents: a 192nd of the video's numbers."""
    check_outputs(options, options.output)
    check_suffix(options.output)
    with replacing(options.output) as aside, open_clip(options) as reader:
        model = open_model(options, measure_clip(reader), (Coding.ENCODE,))
        reading = Reading(reader)
        shown = show_frames(reading.chunks(), "encode", reader.frame_count)
        posteriors = model.encode(pad_stream(shown, model.vae))
        latent = torch.cat(list(draw_latents(posteriors, options)), dim=2)
        info = describe_clip(reader, model, len(reading.times), options)
        write_latents(aside, latent, reading.times, info)
    facts = {"output": options.output, "shape": latent.shape, **info.to_metadata()}
    shape = "x".join(map(str, latent.shape[1:]))
    clip = f"{info.frames} frames of {info.height}x{info.width}"
    lines = [
        f"wrote   {options.output} ({clip} as {shape} numbers)",
        f"latent  {info.posterior}",
        f"run     {info.run}",
    ]
    return Result(facts, lines)


def describe_clip(reader: VideoReader, model: Model, frames: int, options: Namespace) -> LatentInfo:
    """What decoding needs to know."""
    return LatentInfo(
        family=model.vae.family,
        checkpoint_sha256=model.checkpoint_sha256,
        frames=frames,
        height=reader.size[0],
        width=reader.size[1],
        fps=reader.fps,
        latent_scale=model.vae.latent_scale,
        latent_shift=model.vae.latent_shift,
        posterior=describe_draw(options),
        run=model.describe(),
        version=read_version(),
    )
