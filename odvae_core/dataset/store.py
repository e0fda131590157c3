"""The folder that workers fill with shards, such that a run killed at any moment can go on.

A clip's samples are first a file of their own in `unfinished`, whole from the moment it is there.
Enough of these are joined to a shard, and only then removed. So a clip is encoded if it is in a
shard or has its file; a file of a clip that is in a shard is a leftover, which whoever owns the
clip in the next run removes. Shards and the records in `broken` are the truth; `index.jsonl` and
`broken.jsonl` are lists of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from ..files.atomic import clear_leftovers, replacing, write_text
from .reading import DATASET, list_shards, read_dataset
from .shards import FORMATS, DatasetError, Facts, Sample, read_tensor_shard, write_tensor_shard

UNFINISHED, BROKEN = "unfinished", "broken"
MOST_CLIPS = 10_000
"""Of a shard: the facts of all lie in a header that safetensors limits to 100 MB."""


class Store:
    """One worker's share of a folder of latents; several may fill one folder, each its own clips.

    `dataset`: what all latents there have in common; a folder of others is refused with
    `DatasetError`. `clips`: the ids of this worker's. `worker`: its name, in its shards' names. A
    shard is complete at `shard_bytes`. `done`: the ids that need no encoding.
    """

    def __init__(
        self, folder: Path, dataset: Facts, clips: Iterable[str], worker: str, shard_bytes: int
    ) -> None:
        claim(folder, dataset)
        self.folder, self.dataset, self.clips = folder, dataset, set(clips)
        self.worker, self.shard_bytes = worker, shard_bytes
        self.format = FORMATS[dataset["shards"]]
        self._pending: dict[str, int] = {}
        for name in (UNFINISHED, BROKEN):
            (folder / name).mkdir(exist_ok=True)
            clear_leftovers(folder / name)
        clear_leftovers(folder)
        self.done = self._take_up()

    def keep(self, clip: str, samples: Iterable[Sample]) -> None:
        """Keep a clip: from here on it is never encoded again."""
        path = self._part(clip)
        self._check_alone(not path.exists())
        write_tensor_shard(path, self.dataset, samples)
        self._record(clip).unlink(missing_ok=True)
        self._pending[clip] = path.stat().st_size
        if sum(self._pending.values()) >= self.shard_bytes or len(self._pending) >= MOST_CLIPS:
            self._pack()

    def note_broken(self, clip: str, path: str, reason: str) -> None:
        """Record that a clip can't be encoded; the next run tries it again."""
        record = json.dumps({"clip": clip, "path": path, "reason": reason})
        write_text(self._record(clip), record)

    def finish(self) -> None:
        """Join what is left to a last shard, and list what all workers have made so far."""
        self._pack()
        self._write_list("index.jsonl", lambda: list_shards(self.folder), self._describe_shard)
        self._write_list(
            "broken.jsonl", lambda: sorted((self.folder / BROKEN).glob("*.json")), read_record
        )

    def _take_up(self) -> set[str]:
        """The clips that are encoded; the leftovers of this worker's are removed."""
        shards = list_shards(self.folder)
        packed = {facts["clip"] for path in shards for facts in self.format.list_facts(path)}
        for path in list((self.folder / UNFINISHED).glob("[!.]*.safetensors")):
            clip = path.stem
            if clip in self.clips & packed:
                path.unlink()
            elif clip in self.clips:
                self._pending[clip] = path.stat().st_size
        return packed | set(self._pending)

    def _pack(self) -> None:
        """Join the clips that wait to one shard."""
        if not self._pending:
            return
        clips = sorted(self._pending)
        self._check_alone(all(self._part(clip).exists() for clip in clips))
        samples = (sample for clip in clips for sample in read_tensor_shard(self._part(clip)))
        with replacing(self._name_shard()) as aside:
            self.format.write(aside, self.dataset, samples)
        for clip in clips:
            self._part(clip).unlink()
        self._pending.clear()

    def _check_alone(self, alone: bool) -> None:
        """Raise `DatasetError` where another process works on this worker's clips."""
        if not alone:
            raise DatasetError(
                f"{self.folder}: another process encodes the same clips; stop one of them, or give "
                "each its own --shard, and start again"
            )

    def _name_shard(self) -> Path:
        """The first name of this worker's that is free."""
        number = 0
        while True:
            name = f"latents-{self.worker}-{number:05d}{self.format.suffix}"
            if not (self.folder / name).exists():
                return self.folder / name
            number += 1

    def _part(self, clip: str) -> Path:
        return self.folder / UNFINISHED / f"{clip}.safetensors"

    def _record(self, clip: str) -> Path:
        return self.folder / BROKEN / f"{clip}.json"

    def _write_list(
        self,
        name: str,
        find: Callable[[], list[Path]],
        read: Callable[[Path], Iterable[Facts]],
    ) -> None:
        """Write a list of what `find` finds: the last to write has seen all that the others made.

        A slow writer may replace a newer list by its own; it notices, and writes again.
        """
        found = None
        while found != find():
            found = find()
            lines = [json.dumps(facts) + "\n" for path in found for facts in read(path)]
            write_text(self.folder / name, "".join(lines))

    def _describe_shard(self, shard: Path) -> list[Facts]:
        return [{"shard": shard.name, **facts} for facts in self.format.list_facts(shard)]


def claim(folder: Path, dataset: Facts) -> None:
    """Make a folder one of this dataset. Raises `DatasetError` where it is one of something else.

    Workers that claim a new folder at the same moment write the same.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / DATASET).exists():
        strangers = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
        if strangers and not (folder / DATASET).exists():
            raise DatasetError(
                f"{folder}: holds other files ({strangers[0]}); give a new or an empty folder"
            )
        write_text(folder / DATASET, json.dumps(dataset, indent=2) + "\n")
    found = read_dataset(folder)
    differing = [key for key in {**found, **dataset} if found.get(key) != dataset.get(key)]
    if differing:
        key = differing[0]
        raise DatasetError(
            f"{folder}: holds latents with {key} {found.get(key)!r}, but this run has "
            f"{dataset.get(key)!r} (differing: {', '.join(differing)}); give the options of the "
            "first run, or another folder"
        )


def read_record(path: Path) -> list[Facts]:
    """The record of a broken clip; none where its worker has encoded it in the meantime."""
    try:
        return [json.loads(path.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []
