"""Previews of latents: the colours of a latent pixel as a linear function of its channels."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor

from .config import is_number
from .files.atomic import replacing
from .files.jsonfile import read_fields
from .vae import VideoVAE

SUFFIX = ".preview.json"
COLOURS = 3


@dataclass(frozen=True)
class Preview:
    """Colours in [-1, 1] = scaled latent @ `factors` [C][3] + `bias` [3].

    The latent is as a diffusion model has it, (latent - shift) * scale. `vae_sha256` is of the file
    of the VAE that it was fitted to; `psnr`, in dB, is over the fitted clips at the latents' size.
    """

    factors: tuple[tuple[float, ...], ...]
    bias: tuple[float, ...]
    vae_sha256: str
    psnr: float

    def draw(self, latent: Tensor) -> Tensor:
        """Scaled latents [B, C, T, h, w] -> colours [B, 3, T, h, w]."""
        factors, bias = latent.new_tensor(self.factors), latent.new_tensor(self.bias)
        return torch.einsum("bcthw,cr->brthw", latent, factors) + bias[:, None, None, None]


class PreviewFit:
    """Least squares over clips that are added one after the other."""

    def __init__(self, vae: VideoVAE):
        self.vae = vae
        size = vae.latent_channels + 1  # the channels, and 1 for the bias
        self.products = torch.zeros(size, size, dtype=torch.float64)
        self.targets = torch.zeros(size, COLOURS, dtype=torch.float64)
        self.squares, self.count = 0.0, 0

    def add(self, latent: Tensor, video: Tensor) -> None:
        """Add unscaled latents [1, C, T, h, w] and the padded video that they were made of."""
        scaled = self.vae.scale_latent(latent)
        rows = scaled.double().cpu().movedim(1, -1).flatten(0, -2)
        rows = F.pad(rows, (0, 1), value=1.0)
        colours = average_pixels(video, self.vae).double().cpu().movedim(1, -1).flatten(0, -2)
        self.products += rows.T @ rows
        self.targets += rows.T @ colours
        self.squares += float(colours.square().sum())
        self.count += colours.numel()

    def solve(self) -> Preview:
        """The factors over everything added. Raises `ValueError` on too few latent pixels."""
        if self.count < 100 * len(self.products):
            raise ValueError(
                f"got {self.count // COLOURS} latent pixels; a preview of "
                f"{self.vae.latent_channels} channels is fitted to many more: add clips"
            )
        solution = torch.linalg.lstsq(self.products, self.targets, driver="gelsd").solution
        fitted = (solution * (2 * self.targets - self.products @ solution)).sum()
        error = max(self.squares - float(fitted), 1e-12) / self.count
        factors = tuple(tuple(row) for row in solution[:-1].tolist())
        sha256 = self.vae.provenance.sha256 if self.vae.provenance else ""
        return Preview(factors, tuple(solution[-1].tolist()), sha256, 10 * math.log10(4 / error))


def average_pixels(video: Tensor, vae: VideoVAE) -> Tensor:
    """The mean colours of the pixels and frames of each latent pixel: [1, 3, T, h, w].

    The first latent frame is of one frame, each other of `temporal_compression` ones.
    """
    time, space = vae.temporal_compression, vae.spatial_compression
    first = F.avg_pool3d(video[:, :, :1], (1, space, space))
    if video.shape[2] == 1:
        return first
    rest = F.avg_pool3d(video[:, :, 1:], (time, space, space))
    return torch.cat([first, rest], dim=2)


def write_preview(preview: Preview, path: Path) -> None:
    """Write a preview as JSON, whole or not at all."""
    fields = {
        "factors": preview.factors,
        "bias": preview.bias,
        "vae_sha256": preview.vae_sha256,
        "psnr": round(preview.psnr, 2),
    }
    with replacing(path) as aside:
        aside.write_text(json.dumps(fields, indent=2) + "\n", encoding="utf-8")


def read_preview(path: Path) -> Preview:
    """The preview of a file that `write_preview` wrote. Raises `ValueError`."""
    fields = read_fields(path)
    factors, bias, psnr = fields.get("factors"), fields.get("bias"), fields.get("psnr")
    if not (is_table(factors) and is_row(bias) and isinstance(psnr, int | float)):
        raise ValueError(
            f"{path}: factors are a list of {COLOURS} numbers for each channel, bias is {COLOURS} "
            "numbers and psnr one: write it again with `odvae fit-preview`"
        )
    rows = tuple(tuple(row) for row in factors)
    return Preview(rows, tuple(bias), str(fields.get("vae_sha256", "")), float(psnr))


def is_table(value: Any) -> TypeGuard[list[list[float]]]:
    """Whether a value is a list of rows, one for each channel."""
    return isinstance(value, list) and bool(value) and all(is_row(row) for row in value)


def is_row(value: Any) -> TypeGuard[list[float]]:
    """Whether a value is a list of three numbers."""
    return isinstance(value, list) and len(value) == COLOURS and all(is_number(x) for x in value)
