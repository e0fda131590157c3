"""`odvae encode`: encodes a video to a latent file."""

from argparse import Namespace

import torch

from ..files.atomic import replacing
from ..latents import LatentInfo, check_suffix, write_latents
from ..layers.coder_pass import Coding
from ..padding import pad_stream
from ..version import read_version
from ..video import ChunkRecorder, VideoReader
from .clip_io import READ_FRAMES, check_outputs, expected_size, frame_progress_bar, open_clip
from .model import Model, describe_posterior, draw_latents, load_model
from .output import Result


def run_encode(options: Namespace) -> Result:
    """Encode in bounded memory, except for the latents: 1/192 of the video's values."""
    check_outputs(options, options.output)
    check_suffix(options.output)
    with replacing(options.output) as aside, open_clip(options) as reader:
        model = load_model(options, expected_size(reader), (Coding.ENCODE,))
        recorder = ChunkRecorder()
        video = recorder.record(reader.chunks(READ_FRAMES))
        video = frame_progress_bar(video, "encode", reader.frame_count)
        posteriors = model.encode(pad_stream(video, model.vae))
        latent = torch.cat(list(draw_latents(posteriors, options)), dim=2)
        info = make_latent_info(reader, model, len(recorder.times), options)
        write_latents(aside, latent, recorder.times, info)
    facts = {"output": options.output, "shape": latent.shape, **info.to_metadata()}
    shape = "x".join(map(str, latent.shape[1:]))
    clip = f"{info.frames} frames of {info.height}x{info.width}"
    lines = [
        f"wrote   {options.output} ({clip} as {shape} values)",
        f"latent  {info.posterior}",
        f"run     {info.run}",
    ]
    return Result(facts, lines)


def make_latent_info(
    reader: VideoReader, model: Model, frames: int, options: Namespace
) -> LatentInfo:
    """The metadata that decoding needs."""
    return LatentInfo(
        family=model.vae.family,
        checkpoint_sha256=model.checkpoint_sha256,
        frames=frames,
        height=reader.size[0],
        width=reader.size[1],
        fps=reader.fps,
        latent_scale=model.vae.latent_scale,
        latent_shift=model.vae.latent_shift,
        posterior=describe_posterior(options),
        run=model.describe(),
        version=read_version(),
    )
