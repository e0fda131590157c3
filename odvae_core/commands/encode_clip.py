"""One clip of a dataset, encoded: its samples, and what describes them."""

import hashlib
from argparse import Namespace
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from ..dataset import Sample
from ..dataset.reading import KIND, VERSION
from ..layers.coder_pass import Coding
from ..padding import ClipSize, pad_stream
from ..vae import VideoVAE
from ..video import Chunk, ListedClip, VideoError, VideoReader
from .clips import READ
from .model import DTYPES, Model, draw_latents, make_request, plan_model

Facts = dict[str, Any]
TOLERANCE = Fraction(1, 2000)
"""Seconds: an end written as a float is before the frame at that time."""


def describe_encoding(vae: VideoVAE, options: Namespace) -> Facts:
    """What all latents of a dataset have in common: the VAE, and how it is used."""
    assert vae.provenance is not None
    weight = next(vae.parameters())
    return {
        "kind": KIND,
        "format": VERSION,
        "family": vae.family,
        "checkpoint_sha256": vae.provenance.sha256,
        "latent_scale": vae.latent_scale,
        "latent_shift": vae.latent_shift,
        "latent_channels": vae.latent_channels,
        "temporal_compression": vae.temporal_compression,
        "spatial_compression": vae.spatial_compression,
        "posterior": options.posterior if options.posterior == "mean" else f"sample {options.seed}",
        "logvar": options.logvar,
        "latent_dtype": options.latent_dtype,
        "dtype": str(weight.dtype).removeprefix("torch."),
        "schedule": options.schedule,
        "schedule_frames": options.frames,
        "tile": options.tile,
        "overlap": options.overlap,
        "frames_per_clip": options.frames_per_clip,
        "stride": options.stride,
        "max_frames": options.max_frames,
        "short_side": options.short_side,
        "size": options.size and list(options.size),
        "crop": options.crop and list(options.crop),
        "shards": options.format,
    }


def encode_clip(clip: ListedClip, vae: VideoVAE, options: Namespace) -> list[Sample]:
    """A clip's samples: the whole clip as one, or its pieces; a picture is a clip of one frame.

    Raises `VideoError` where the clip is broken, shorter than a piece, or too large for the type of
    its latents, and `MemoryError` where no cut of it fits.
    """
    length = 1 if clip.is_picture else options.frames_per_clip
    with open_clip(clip, options) as reader:
        model = plan_model(vae, make_request(options), measure(reader, length), (Coding.ENCODE,))
        shared = describe_clip(clip, reader, model)
        samples = []
        for number, piece in enumerate(cut_pieces(reader, clip, length)):
            name = f"{clip.id}-{number:05d}" if options.frames_per_clip else clip.id
            samples.append(encode_piece(name, piece, shared, model, options))
    if not samples:
        raise VideoError(
            f"{clip.name}: has fewer than {length or 1} frames at stride {options.stride} from "
            f"{clip.start} s to {clip.end or 'its end'}; lower --frames-per-clip or --stride, "
            "or correct the manifest"
        )
    return samples


def describe_clip(clip: ListedClip, reader: VideoReader, model: Model) -> Facts:
    """What a clip's samples have in common; `source_...` is the size before any resizing."""
    with VideoReader(clip.file) as native:
        height, width = native.size
    facts = {
        "clip": clip.id,
        "path": clip.name,
        "source_height": height,
        "source_width": width,
        "fps": None if clip.is_picture else float(reader.fps),
        "run": model.describe(),
    }
    return facts | {"columns": dict(clip.columns)} if clip.columns else facts


def open_clip(clip: ListedClip, options: Namespace) -> VideoReader:
    """The clip from its start, as the options ask for it."""
    return VideoReader(
        clip.file,
        short_side=options.short_side,
        size=options.size,
        crop=options.crop,
        start=clip.start,
        frames=1 if clip.is_picture else options.max_frames,
        stride=options.stride,
    )


def measure(reader: VideoReader, length: int | None) -> ClipSize:
    """The size of a piece, or of the clip, for the planner."""
    return ClipSize(length or reader.expected_frames, *reader.size)


def cut_pieces(
    reader: VideoReader, clip: ListedClip, length: int | None
) -> Iterator[Iterable[Chunk]]:
    """Pieces of `length` frames, without the rest; for None the whole clip, a few frames a time."""
    chunks = stop_at(reader.pieces(length) if length else reader.chunks(READ), clip.end)
    if length:
        yield from ([chunk] for chunk in chunks if len(chunk.times) == length)
    elif first := next(chunks, None):
        yield chain([first], chunks)


def stop_at(chunks: Iterator[Chunk], end: float | None) -> Iterator[Chunk]:
    """The frames before `end`; of those behind it, at most a chunk is read."""
    for chunk in chunks:
        kept = sum(end is None or time < end - TOLERANCE for time in chunk.times)
        if kept:
            yield Chunk(chunk.video[:, :, :kept], chunk.times[:kept])
        if kept < len(chunk.times):
            return


def encode_piece(
    name: str, chunks: Iterable[Chunk], shared: Facts, model: Model, options: Namespace
) -> Sample:
    """One sample. A random latent has a seed of its own, by which `odvae encode` draws the same."""
    shown = Shown()
    posteriors = list(model.encode(pad_stream(shown.note(chunks), model.vae)))
    seed = int(hashlib.sha256(f"{options.seed} {name}".encode()).hexdigest()[:12], 16)
    drawn = draw_latents(posteriors, Namespace(posterior=options.posterior, seed=seed))
    latent = store(drawn, shared, options)
    facts = {
        "id": name,
        **shared,
        "start": float(shown.start),
        "frames": shown.size.frames,
        "height": shown.size.height,
        "width": shown.size.width,
        "shape": list(latent.shape),
        **({"seed": seed} if options.posterior == "sample" else {}),
    }
    logvar = (posterior.logvar for posterior in posteriors)
    return Sample(facts, latent, store(logvar, shared, options) if options.logvar else None)


class Shown:
    """What passed by on the way to the encoder: when it began, and its size before padding."""

    start = Fraction(0)
    size = ClipSize(0, 0, 0)

    def note(self, chunks: Iterable[Chunk]) -> Iterator[Tensor]:
        """The video of the chunks."""
        for chunk in chunks:
            if not self.size.frames:
                self.start = chunk.times[0]
            frames = self.size.frames + len(chunk.times)
            self.size = ClipSize(frames, *chunk.video.shape[-2:])
            yield chunk.video


def store(pieces: Iterable[Tensor], shared: Facts, options: Namespace) -> Tensor:
    """Consecutive latents [1, C, T, h, w] as one [C, T, h, w], in the type that is kept."""
    tensor = torch.cat(list(pieces), dim=2)[0].to(DTYPES[options.latent_dtype]).cpu().contiguous()
    if not tensor.isfinite().all():
        raise VideoError(
            f"{shared['path']}: its latents aren't finite in {options.latent_dtype}; run into "
            "another folder with --dtype and --latent-dtype fp32 or bf16"
        )
    return tensor
