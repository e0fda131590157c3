"""A folder of shards: reading it, and writing it such that a killed run can be resumed.

The samples of a clip are first written atomically to a file of their own in `unfinished`. Several
such files are joined to a shard and only then removed. A clip is therefore encoded if it is in a
shard or has such a file. If it is in a shard and has a file, the file is a leftover, which the
clip's worker removes in the next run. The shards and the records in `broken` are authoritative;
`index.jsonl` and `broken.jsonl` list them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from ..files.atomic import clear_leftovers, replacing, write_text
from .shards import FORMATS, DatasetError, Facts, Sample, read_tensor_shard, write_tensor_shard

DATASET, KIND, VERSION = "dataset.json", "odvae-latent-dataset", "1"
UNFINISHED, BROKEN = "unfinished", "broken"
MOST_CLIPS = 10_000
"""Clips of a shard: their facts are in a header, which safetensors limits to 100 MB."""


def read_latents(folder: str | Path) -> Iterator[tuple[str, Tensor, dict[str, Any]]]:
    """The samples of a folder that `odvae encode-dataset` wrote: id, latent [C, T, h, w], facts.

    They are read shard by shard, one at a time, unscaled. The facts contain `latent_scale` and
    `latent_shift` of the VAE, `frames`, `height` and `width` before padding, `path`, `fps` and, if
    it was stored, the tensor `logvar`. Raises `DatasetError` if the folder isn't such a dataset.
    """
    folder = Path(folder)
    dataset = read_dataset(folder)
    return iterate_latents(dataset, list_shards(folder))


def iterate_latents(
    dataset: Facts, shards: list[Path]
) -> Iterator[tuple[str, Tensor, dict[str, Any]]]:
    """The samples of shards; their facts include the dataset's."""
    for shard in shards:
        for sample in FORMATS[dataset["shards"]].read(shard):
            logvar = {} if sample.logvar is None else {"logvar": sample.logvar}
            yield sample.facts["id"], sample.latent, {**dataset, **sample.facts, **logvar}


def read_dataset(folder: Path) -> Facts:
    """The facts that all latents of a folder share. Raises `DatasetError`."""
    try:
        facts = json.loads((folder / DATASET).read_text(encoding="utf-8"))
        kind, version = facts.get("kind"), facts.get("format")
    except (OSError, ValueError, RecursionError, AttributeError) as error:
        raise DatasetError(
            f"{folder}: contains no latents (its {DATASET} can't be read: {error}); "
            "give a folder that `odvae encode-dataset` wrote"
        ) from error
    if (kind, version) != (KIND, VERSION) or facts.get("shards") not in FORMATS:
        raise DatasetError(
            f"{folder}: its {DATASET} is of kind {kind}, format {version}, with shards of "
            f"{facts.get('shards')}; this odvae reads {KIND}, format {VERSION}: use the version "
            "that wrote it"
        )
    return facts


def list_shards(folder: Path) -> list[Path]:
    """The shards of a folder, sorted by name."""
    suffixes = {form.suffix for form in FORMATS.values()}
    return sorted(path for path in folder.glob("latents-*") if path.suffix in suffixes)


class ShardWriter:
    """Writes one worker's clips to a folder of shards; several workers may write to one folder.

    `dataset`: the facts that all latents share; a folder with other facts raises `DatasetError`.
    `clips`: the ids of this worker's clips. `worker`: its name, which is part of its shards' names.
    A shard is complete at `shard_bytes`. `done`: the ids that need no encoding.
    """

    def __init__(
        self, folder: Path, dataset: Facts, clips: Iterable[str], worker: str, shard_bytes: int
    ) -> None:
        claim_folder(folder, dataset)
        self.folder, self.dataset, self.clips = folder, dataset, set(clips)
        self.worker, self.shard_bytes = worker, shard_bytes
        self.format = FORMATS[dataset["shards"]]
        self._pending: dict[str, int] = {}
        for name in (UNFINISHED, BROKEN):
            (folder / name).mkdir(exist_ok=True)
            clear_leftovers(folder / name)
        clear_leftovers(folder)
        self.done = self._resume()

    def add_clip(self, clip: str, samples: Iterable[Sample]) -> None:
        """Write a clip's samples; afterwards it is never encoded again."""
        path = self._clip_path(clip)
        self._check_only_writer(not path.exists())
        write_tensor_shard(path, self.dataset, samples)
        self._broken_path(clip).unlink(missing_ok=True)
        self._pending[clip] = path.stat().st_size
        if sum(self._pending.values()) >= self.shard_bytes or len(self._pending) >= MOST_CLIPS:
            self._write_shard()

    def record_broken_clip(self, clip: str, path: str, reason: str) -> None:
        """Record a clip that can't be encoded; the next run tries it again."""
        record = json.dumps({"clip": clip, "path": path, "reason": reason})
        write_text(self._broken_path(clip), record)

    def finish(self) -> None:
        """Write the last shard, and the lists of all shards and broken clips of all workers."""
        self._write_shard()
        self._write_list("index.jsonl", lambda: list_shards(self.folder), self._list_samples)
        self._write_list(
            "broken.jsonl", lambda: sorted((self.folder / BROKEN).glob("*.json")), read_record
        )

    def _resume(self) -> set[str]:
        """The clips that are encoded already; removes the leftovers of this worker's clips."""
        shards = list_shards(self.folder)
        packed = {facts["clip"] for path in shards for facts in self.format.list_facts(path)}
        for path in list((self.folder / UNFINISHED).glob("[!.]*.safetensors")):
            clip = path.stem
            if clip in self.clips & packed:
                path.unlink()
            elif clip in self.clips:
                self._pending[clip] = path.stat().st_size
        return packed | set(self._pending)

    def _write_shard(self) -> None:
        """Join the pending clips to one shard."""
        if not self._pending:
            return
        clips = sorted(self._pending)
        self._check_only_writer(all(self._clip_path(clip).exists() for clip in clips))
        samples = (sample for clip in clips for sample in read_tensor_shard(self._clip_path(clip)))
        with replacing(self._next_shard_path()) as aside:
            self.format.write(aside, self.dataset, samples)
        for clip in clips:
            self._clip_path(clip).unlink()
        self._pending.clear()

    def _check_only_writer(self, alone: bool) -> None:
        """Raise `DatasetError` if another process encodes this worker's clips."""
        if not alone:
            raise DatasetError(
                f"{self.folder}: another process encodes the same clips; stop one of them, or give "
                "each its own --shard, and start again"
            )

    def _next_shard_path(self) -> Path:
        """The first unused shard name of this worker."""
        number = 0
        while True:
            name = f"latents-{self.worker}-{number:05d}{self.format.suffix}"
            if not (self.folder / name).exists():
                return self.folder / name
            number += 1

    def _clip_path(self, clip: str) -> Path:
        return self.folder / UNFINISHED / f"{clip}.safetensors"

    def _broken_path(self, clip: str) -> Path:
        return self.folder / BROKEN / f"{clip}.json"

    def _write_list(
        self,
        name: str,
        find: Callable[[], list[Path]],
        read: Callable[[Path], Iterable[Facts]],
    ) -> None:
        """Write one line for each of the facts in the files of `find`.

        A slow writer may replace a newer list with its own. It writes again until the files are
        unchanged, so the last writer lists the files of all.
        """
        found = None
        while found != find():
            found = find()
            lines = [json.dumps(facts) + "\n" for path in found for facts in read(path)]
            write_text(self.folder / name, "".join(lines))

    def _list_samples(self, shard: Path) -> list[Facts]:
        return [{"shard": shard.name, **facts} for facts in self.format.list_facts(shard)]


def claim_folder(folder: Path, dataset: Facts) -> None:
    """Create the folder of this dataset. Raises `DatasetError` if it contains anything else.

    Workers that create it at the same time write the same file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / DATASET).exists():
        others = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
        if others and not (folder / DATASET).exists():
            raise DatasetError(
                f"{folder}: contains other files ({others[0]}); give a new or an empty folder"
            )
        write_text(folder / DATASET, json.dumps(dataset, indent=2) + "\n")
    found = read_dataset(folder)
    differing = [key for key in {**found, **dataset} if found.get(key) != dataset.get(key)]
    if differing:
        key = differing[0]
        raise DatasetError(
            f"{folder}: contains latents with {key} {found.get(key)!r}, but this run has "
            f"{dataset.get(key)!r} (differing: {', '.join(differing)}); give the options of the "
            "first run, or another folder"
        )


def read_record(path: Path) -> list[Facts]:
    """The record of a broken clip; empty if its worker has encoded it in the meantime."""
    try:
        return [json.loads(path.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []
