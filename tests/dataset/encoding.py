"""A small folder of clips, and calls of `odvae encode-dataset` in process."""

import json

import torch

import odvae_core as odvae
from odvae_core import cli
from odvae_core.latents import LatentFile

FRAMES = {"a.mp4": 7, "deep/b.mkv": 11, "deep/c.mp4": 5}
PICTURE = "still.png"


def call(*arguments):
    """Run a command."""
    return cli.main([str(argument) for argument in arguments])


def call_json(capsys, *arguments):
    """The JSON result of an encode-dataset that succeeds."""
    capsys.readouterr()
    assert call("encode-dataset", *arguments, "--device", "cpu", "--json") == 0
    return json.loads(capsys.readouterr().out)


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def read_all(folder):
    """Path and start of every sample: its latent."""
    samples = {}
    for _, latent, facts in odvae.read_latents(folder):
        key = (facts["path"], facts["start"])
        assert key not in samples
        samples[key] = latent
    return samples


def assert_equal(folder, other):
    first, second = read_all(folder), read_all(other)
    assert first.keys() == second.keys()
    assert [key for key in first if not torch.equal(first[key], second[key])] == []


def encode_alone(clip, output, *options):
    """The latents [1, C, T, h, w] that `odvae encode` makes."""
    assert call("encode", clip, output, "--device", "cpu", *options) == 0
    (latent,) = LatentFile(output).chunks(1000)
    return latent
