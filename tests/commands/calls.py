"""Calls of the `odvae` command in process, and clips and models for them."""

import json
from fractions import Fraction

import torch

import odvae_core as odvae
from odvae_core import cli
from odvae_core.video import VideoReader, VideoWriter

TIMES = [Fraction(i, 24) + Fraction(i // 3, 48) for i in range(7)]  # a variable rate


def draw_clip(frames, height, width):
    """Moving waves, [1, 3, T, H, W]."""
    t, y, x = torch.meshgrid(
        *(torch.arange(n, dtype=torch.float32) for n in (frames, height, width)), indexing="ij"
    )
    return torch.stack([torch.sin(0.3 * x + 0.2 * t), torch.cos(0.2 * y - 0.3 * t), 0 * x])[None]


def write_clip(path, video, times=None, **options):
    """A video file of these frames."""
    with VideoWriter(path, video.shape[-2:], 24, **options) as writer:
        writer.write(video, times)


def luma_error(video, other):
    """Mean difference of luma; files halve the resolution of chroma."""
    weights = torch.tensor([0.2126, 0.7152, 0.0722]).view(1, 3, 1, 1, 1)
    return float(((video - other) * weights).sum(1).abs().mean())


def read_times(path):
    """The time of every frame of a file, seconds after the first."""
    with VideoReader(path) as reader:
        times = [time for chunk in reader.chunks(8) for time in chunk.times]
    return [time - times[0] for time in times]


def call(*arguments):
    """Run a command."""
    return cli.main([str(argument) for argument in arguments])


def call_json(capsys, *arguments):
    """The JSON result of a command that succeeds."""
    capsys.readouterr()
    assert call(*arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)


@torch.inference_mode()
def reconstruct_at_once(vae, video):
    """The expected result of the command, without a file and in one piece."""
    decoded = vae.decode(vae.encode(odvae.padding.pad(video, vae)).mode())
    return odvae.padding.crop(decoded, odvae.padding.ClipSize.of(video))
