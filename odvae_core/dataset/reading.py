"""A folder of latents as a training loop reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from .shards import FORMATS, DatasetError, Facts

DATASET, KIND, VERSION = "dataset.json", "odvae-latent-dataset", "1"


def read_latents(folder: str | Path) -> Iterator[tuple[str, Tensor, dict[str, Any]]]:
    """The samples of a folder that `odvae encode-dataset` filled: id, latent [C, T, h, w], facts.

    They come shard by shard, one at a time, unscaled. The facts hold `latent_scale` and
    `latent_shift` of the VAE, `frames`, `height` and `width` before padding, `path`, `fps`, and as
    a tensor `logvar`, where it was kept. Raises `DatasetError` where the folder holds none.
    """
    folder = Path(folder)
    dataset = read_dataset(folder)
    return iterate_latents(dataset, list_shards(folder))


def iterate_latents(
    dataset: Facts, shards: list[Path]
) -> Iterator[tuple[str, Tensor, dict[str, Any]]]:
    for shard in shards:
        for sample in FORMATS[dataset["shards"]].read(shard):
            logvar = {} if sample.logvar is None else {"logvar": sample.logvar}
            yield sample.facts["id"], sample.latent, {**dataset, **sample.facts, **logvar}


def read_dataset(folder: Path) -> Facts:
    """What all latents of a folder have in common. Raises `DatasetError`."""
    try:
        facts = json.loads((folder / DATASET).read_text(encoding="utf-8"))
        kind, version = facts.get("kind"), facts.get("format")
    except (OSError, ValueError, RecursionError, AttributeError) as error:
        raise DatasetError(
            f"{folder}: holds no latents (its {DATASET} can't be read: {error}); "
            "give a folder that `odvae encode-dataset` filled"
        ) from error
    if (kind, version) != (KIND, VERSION) or facts.get("shards") not in FORMATS:
        raise DatasetError(
            f"{folder}: its {DATASET} is of kind {kind}, format {version}, with shards of "
            f"{facts.get('shards')}; this odvae reads {KIND}, format {VERSION}: use the one that "
            "wrote it"
        )
    return facts


def list_shards(folder: Path) -> list[Path]:
    """The shards of a folder, in the order of their names."""
    suffixes = {form.suffix for form in FORMATS.values()}
    return sorted(path for path in folder.glob("latents-*") if path.suffix in suffixes)
