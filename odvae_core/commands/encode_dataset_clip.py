"""Encodes one clip of a dataset: its samples and the facts that describe them."""

import hashlib
from argparse import Namespace
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from ..dataset import Sample
from ..dataset.folder import KIND, VERSION
from ..layers.coder_pass import Coding
from ..padding import ClipSize, pad_stream
from ..scaling import list_factors
from ..vae import VideoVAE
from ..video import Chunk, ChunkRecorder, ListedClip, VideoError, VideoReader, take_until
from .clip_io import READ_FRAMES
from .model import DTYPES, Model, draw_latents, make_request, plan_model

Facts = dict[str, Any]
TOLERANCE = Fraction(1, 2000)
"""Seconds: an end written as a float excludes the frame at that time."""


def make_dataset_facts(vae: VideoVAE, options: Namespace) -> Facts:
    """The facts that all latents of a dataset share: the VAE and the options."""
    assert vae.provenance is not None
    weight = next(vae.parameters())
    return {
        "kind": KIND,
        "format": VERSION,
        "family": vae.family,
        "checkpoint_sha256": vae.provenance.sha256,
        "latent_scale": list_factors(vae.latent_scale),
        "latent_shift": list_factors(vae.latent_shift),
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
    """A clip's samples: the whole clip as one, or its pieces. An image is a clip of one frame.

    Raises `VideoError` if the clip is broken, shorter than a piece, or has latents that exceed the
    range of `--latent-dtype`, and `MemoryError` if no plan fits.
    """
    length = 1 if clip.is_picture else options.frames_per_clip
    with open_listed_clip(clip, options) as reader:
        size = ClipSize(length or reader.expected_frames, *reader.size)
        model = plan_model(vae, make_request(options), size, (Coding.ENCODE,))
        clip_facts = make_clip_facts(clip, reader, model)
        samples = []
        for number, piece in enumerate(split_clip(reader, clip, length)):
            name = f"{clip.id}-{number:05d}" if options.frames_per_clip else clip.id
            samples.append(encode_piece(name, piece, clip_facts, model, options))
    if not samples:
        raise VideoError(
            f"{clip.name}: has fewer than {length or 1} frames at stride {options.stride} from "
            f"{clip.start} s to {clip.end or 'its end'}; lower --frames-per-clip or --stride, "
            "or correct the manifest"
        )
    return samples


def make_clip_facts(clip: ListedClip, reader: VideoReader, model: Model) -> Facts:
    """The facts that a clip's samples share; `source_...` is the size before any resizing."""
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


def open_listed_clip(clip: ListedClip, options: Namespace) -> VideoReader:
    """A reader of the clip from its start, resized and cropped by the options."""
    return VideoReader(
        clip.file,
        short_side=options.short_side,
        size=options.size,
        crop=options.crop,
        start=clip.start,
        frames=1 if clip.is_picture else options.max_frames,
        stride=options.stride,
    )


def split_clip(
    reader: VideoReader, clip: ListedClip, length: int | None
) -> Iterator[Iterable[Chunk]]:
    """Pieces of `length` frames without the remainder; for None the whole clip in chunks."""
    end = None if clip.end is None else clip.end - TOLERANCE
    chunks = take_until(reader.pieces(length) if length else reader.chunks(READ_FRAMES), end)
    if length:
        yield from ([chunk] for chunk in chunks if len(chunk.times) == length)
    elif first := next(chunks, None):
        yield chain([first], chunks)


def encode_piece(
    name: str, chunks: Iterable[Chunk], clip_facts: Facts, model: Model, options: Namespace
) -> Sample:
    """One sample. A sampled latent has its own seed, with which `odvae encode` draws the same."""
    recorder = ChunkRecorder()
    posteriors = list(model.encode(pad_stream(recorder.record(chunks), model.vae)))
    seed = int(hashlib.sha256(f"{options.seed} {name}".encode()).hexdigest()[:12], 16)
    drawn = draw_latents(posteriors, Namespace(posterior=options.posterior, seed=seed))
    latent = join_latents(drawn, clip_facts, options)
    facts = {
        "id": name,
        **clip_facts,
        "start": float(recorder.times[0]),
        "frames": len(recorder.times),
        "height": recorder.picture_size[0],
        "width": recorder.picture_size[1],
        "shape": list(latent.shape),
        **({"seed": seed} if options.posterior == "sample" else {}),
    }
    logvar = (posterior.logvar for posterior in posteriors)
    kept_logvar = join_latents(logvar, clip_facts, options) if options.logvar else None
    return Sample(facts, latent, kept_logvar)


def join_latents(pieces: Iterable[Tensor], clip_facts: Facts, options: Namespace) -> Tensor:
    """Consecutive latents [1, C, T, h, w] as one [C, T, h, w] in the type of `--latent-dtype`."""
    tensor = torch.cat(list(pieces), dim=2)[0].to(DTYPES[options.latent_dtype]).cpu().contiguous()
    if not tensor.isfinite().all():
        raise VideoError(
            f"{clip_facts['path']}: its latents aren't finite in {options.latent_dtype}; encode "
            "into another folder with --dtype and --latent-dtype fp32 or bf16"
        )
    return tensor
