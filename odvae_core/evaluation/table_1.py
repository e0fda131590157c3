"""The rows of OD-VAE's Table 1, found in a folder by what its files are."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..files.tensorfile import CheckpointError, read_tensor_file
from ..formats import is_cvvae, is_odvae, is_opsvae, is_sd_vae, select_weights, strip_owner
from .tats import is_tats
from .vqgan import is_vqgan

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Row:
    """A row: its name in the table, how `evaluate` runs it, and where its file is published."""

    name: str
    kind: str
    published: str


ROWS = (
    Row("VQGAN", "vqgan", "CompVis/taming-transformers: OpenImages f8, 8192 entries, Gumbel"),
    Row("TATS", "tats", "songweige/TATS: the links to its checkpoints in the README"),
    Row("SD-VAE", "vae", "stabilityai/sd-vae-ft-mse, or the VAE of Stable Diffusion 2.1"),
    Row("SVD-VAE", "svd", "stabilityai/stable-video-diffusion-img2vid: the folder vae"),
    Row("CV-VAE", "vae", "AILab-CVC/CV-VAE: the folder vae3d"),
    Row("OPS-VAE", "vae", "hpcai-tech/OpenSora-VAE-v1.2"),
    Row("OD-VAE", "vae", "LanguageBind/Open-Sora-Plan-v1.2.0: the folder vae"),
)
"""OD-VAE (arXiv 2409.01199), Table 1, in its order."""

WEIGHTS = (".safetensors", ".ckpt", ".pt", ".pth", ".bin")
SVD_CLASS = "AutoencoderKLTemporalDecoder"


def find_rows(folder: Path) -> dict[str, Path]:
    """The file, or for SVD-VAE the folder, of each row that lies in a folder or its subfolders.

    Raises `ValueError` where it isn't a folder, holds none, or two files of one row.
    """
    if not folder.is_dir():
        raise ValueError(f"got --table-1 {folder}; give the folder with the checkpoints")
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        name = name_row(path) if path.suffix in WEIGHTS and path.is_file() else None
        place = path.parent if name == "SVD-VAE" else path
        if name is None or found.get(name) == place:
            continue
        if name in found:
            raise ValueError(f"got two files of {name}, {found[name]} and {place}: leave one there")
        found[name] = place
    if not found:
        raise ValueError(f"{folder}: holds no checkpoint of Table 1; {list_missing(found)[0]}")
    return found


def name_row(path: Path) -> str | None:
    """The row that a file of weights belongs to, None for any other file."""
    if read_class(path.parent) == SVD_CLASS:
        return "SVD-VAE"
    try:
        tensors, _ = select_weights(read_tensor_file(path).tensors, "ema")
    except (CheckpointError, ValueError) as error:
        log.warning("not read: %s", error)
        return None
    return name_weights(strip_owner(tensors))


def name_weights(tensors: Mapping[str, Tensor]) -> str | None:
    """The row that weights belong to, by their names and shapes."""
    checks = {
        "TATS": is_tats,
        "VQGAN": is_vqgan,
        "OPS-VAE": is_opsvae,
        "OD-VAE": is_odvae,
        "CV-VAE": is_cvvae,
        "SD-VAE": is_sd_vae,
    }
    return next((name for name, recognises in checks.items() if recognises(tensors)), None)


def read_class(folder: Path) -> str | None:
    """The class that a folder's config.json names."""
    try:
        fields = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return fields.get("_class_name") if isinstance(fields, dict) else None


def order_rows(found: Mapping[str, Path]) -> Iterator[tuple[Row, Path]]:
    """The rows that were found, in the table's order."""
    yield from ((row, found[row.name]) for row in ROWS if row.name in found)


def list_missing(found: Mapping[str, Path]) -> list[str]:
    """A sentence for each row that was not found: where its file is published."""
    return [
        f"missing {row.name}: published as {row.published}" for row in ROWS if row.name not in found
    ]
