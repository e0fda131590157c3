"""Fingerprints of files, with which ComfyUI decides whether a cached result is still valid."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

Inputs = tuple[Any, ...]
Fingerprints = dict[Path, str | None]


def fingerprint_file(path: Path) -> str | None:
    """A text that changes when the file is replaced; None if there is no file."""
    try:
        file = path.stat()
    except OSError:
        return None
    return f"{file.st_mtime_ns} {file.st_size}"


class RunHistory:
    """The fingerprints of the files that the runs of a node read and wrote.

    A node returns `count_outdated` as its fingerprint. The count increases when a file of the last
    run with the same inputs was replaced or deleted, so ComfyUI runs the node again.
    """

    def __init__(self):
        self._files: dict[Inputs, Fingerprints] = {}
        self._outdated: Counter[Inputs] = Counter()

    def record(self, inputs: Inputs, files: Fingerprints) -> None:
        """Store the fingerprints of the files after a run with these inputs."""
        self._files[inputs] = files

    def count_outdated(self, given: Inputs) -> int:
        """How often a run with these inputs was outdated; None, a linked input, matches any."""
        for inputs in [inputs for inputs in self._files if matches_inputs(given, inputs)]:
            files = self._files[inputs].items()
            if any(fingerprint_file(path) != recorded for path, recorded in files):
                del self._files[inputs]
                self._outdated[given] += 1
        return self._outdated[given]


def matches_inputs(given: Inputs, inputs: Inputs) -> bool:
    """Whether recorded inputs equal the given ones, where those are known."""
    return all(value in (None, known) for value, known in zip(given, inputs, strict=True))
