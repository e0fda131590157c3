"""Latent files: an encoded clip as safetensors, with the metadata that decoding needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import get_type_hints

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from .files.tensorfile import write_safetensors
from .limits import (
    LONGEST_CLIP,
    check_picture,
    check_rate,
    parse_count,
    parse_finite,
    parse_fraction,
)
from .padding import ClipSize, latent_frames
from .scaling import Factors, parse_factors
from .vae import VideoVAE

KIND, FORMAT, SUFFIX = "odvae-latents", "1", ".safetensors"
LATENT, UNSCALED = "latent_tensor", "latent_format_version_0"
"""The names in ComfyUI's own latent files, so that ComfyUI's loader reads these files too."""
TIMES = "frame_times"
PARSERS = {
    str: str,
    int: parse_count,
    float: parse_finite,
    Factors: parse_factors,
    Fraction: parse_fraction,
}
"""How the fields of `LatentInfo` are parsed from text, by their types."""


class LatentError(ValueError):
    """A latent file can't be used: the text names the file, the finding and the remedy."""


@dataclass(frozen=True)
class LatentInfo:
    """The origin of latents and the properties of their video.

    `frames`, `height` and `width` are the clip's own, before padding; `fps` is its mean rate.
    `checkpoint_sha256` is that of the VAE's file; `latent_scale` and `latent_shift` are the VAE's
    and are not applied here; `posterior` and `run` describe how the latents were drawn and
    computed.
    """

    family: str
    checkpoint_sha256: str
    frames: int
    height: int
    width: int
    fps: Fraction
    latent_scale: Factors
    latent_shift: Factors
    posterior: str
    run: str
    version: str

    @property
    def size(self) -> ClipSize:
        """The clip's own size."""
        return ClipSize(self.frames, self.height, self.width)

    def to_metadata(self) -> dict[str, str]:
        """The fields as text, with the kind and format of the file."""
        fields = {field.name: str(getattr(self, field.name)) for field in dataclasses.fields(self)}
        return {"kind": KIND, "format": FORMAT, **fields}

    @classmethod
    def from_metadata(cls, metadata: dict[str, str]) -> LatentInfo:
        """`KeyError`: a field is missing; `ValueError`: a field isn't a number but should be."""
        hints = get_type_hints(cls)
        return cls(**{name: PARSERS[kind](metadata[name]) for name, kind in hints.items()})


def write_latents(path: Path, latent: Tensor, times: Sequence[Fraction], info: LatentInfo) -> None:
    """Write latents [1, C, T, H, W], unscaled, with the clip's `times`: seconds, one per video
    frame.

    Times are stored exactly, so rates may vary. The file is written atomically.
    """
    check_suffix(path)
    fractions = [(time.numerator, time.denominator) for time in times]
    tensors = {
        LATENT: latent.contiguous(),
        UNSCALED: torch.tensor([]),
        TIMES: torch.tensor(fractions, dtype=torch.int64),
    }
    write_safetensors(path, tensors, info.to_metadata())


def check_suffix(path: Path) -> None:
    """Raise `LatentError` unless the name ends in `.safetensors`."""
    if path.suffix.lower() != SUFFIX:
        raise LatentError(
            f"got the file name {path.name!r}; latents are safetensors: end it in {SUFFIX}"
        )


class LatentFile:
    """A latent file: `info`, `times` and `shape` are read at once, the latents in chunks.

    Raises `LatentError` if the file is missing, damaged, of another kind, or of a newer format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise LatentError(f"{path}: no such file; check the path")
        try:
            path.open("rb").close()  # safetensors reports an unreadable file as missing
            with safe_open(path, "pt") as file:
                self.info = self._read_info(file.metadata() or {})
                self.times = self._read_times(file.get_tensor(TIMES))
                self.shape = tuple(file.get_slice(LATENT).get_shape())
        except OSError as error:
            raise LatentError(
                f"{path}: can't be read ({error.strerror}); check its permissions"
            ) from error
        except SafetensorError as error:
            raise LatentError(
                f"{path}: not a complete latent file ({error}); encode the clip again"
            ) from error

    def check_vae(self, vae: VideoVAE) -> None:
        """Raise `LatentError` if these can't be latents of this VAE."""
        if self.info.family != vae.family:
            raise LatentError(
                f"{self.path}: latents of the family {self.info.family}, but the checkpoint is of "
                f"the family {vae.family}; decode with the checkpoint that encoded it"
            )
        needed = latent_shape(self.info.size, vae)
        if self.shape != needed or len(self.times) != self.info.frames:
            size = self.info.size
            raise LatentError(
                f"{self.path}: latents of shape {list(self.shape)} and {len(self.times)} times for "
                f"{size.frames} frames of {size.height}x{size.width}; this checkpoint's have shape "
                f"{list(needed)}: decode with the checkpoint that encoded it"
            )

    def chunks(self, frames: int) -> Iterator[Tensor]:
        """The latents [1, C, T, H, W], `frames` latent frames at a time."""
        with safe_open(self.path, "pt") as file:
            latents = file.get_slice(LATENT)
            for start in range(0, self.shape[2], frames):
                yield latents[:, :, start : start + frames]

    def _read_info(self, metadata: dict[str, str]) -> LatentInfo:
        if metadata.get("kind") != KIND:
            raise LatentError(
                f"{self.path}: its metadata don't describe an encoded clip; "
                "give a file that `odvae encode` wrote"
            )
        if metadata.get("format") != FORMAT:
            raise LatentError(
                f"{self.path}: has format {metadata.get('format')}, written by odvae "
                f"{metadata.get('version')}; this one reads format {FORMAT}: install a newer odvae"
            )
        try:
            info = LatentInfo.from_metadata(metadata)
            check_rate(info.fps)
            check_picture(info.height, info.width)
        except (KeyError, ValueError, ZeroDivisionError) as error:
            raise LatentError(
                f"{self.path}: its metadata are damaged ({error!r}); encode the clip again"
            ) from error
        if not min(info.frames, info.height, info.width):
            raise LatentError(
                f"{self.path}: its metadata are damaged ({info.frames} frames of "
                f"{info.height}x{info.width}); encode the clip again"
            )
        return info

    def _read_times(self, pairs: Tensor) -> list[Fraction]:
        legal = pairs.ndim == 2 and pairs.shape[1] == 2 and not pairs.is_floating_point()
        if legal and pairs[:, 1].gt(0).all():
            times = [Fraction(*pair) for pair in pairs.tolist()]
            if is_increasing(times):
                return times
        raise LatentError(
            f"{self.path}: its times are damaged: they must be increasing fractions of seconds "
            f"up to {LONGEST_CLIP} s; encode the clip again"
        )


def is_increasing(times: Sequence[Fraction]) -> bool:
    """Whether times can be those of a clip's frames: increasing, up to LONGEST_CLIP."""
    rising = all(earlier < later for earlier, later in pairwise(times))
    return rising and all(abs(time) <= LONGEST_CLIP for time in times)


def latent_shape(size: ClipSize, vae: VideoVAE) -> tuple[int, ...]:
    """The shape [1, C, T, H, W] of a clip's latents."""
    padded, space = size.padded(vae), vae.spatial_compression
    frames = latent_frames(size.frames, vae)
    return (1, vae.latent_channels, frames, padded.height // space, padded.width // space)
