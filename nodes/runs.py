"""Results that ComfyUI keeps, and the files they came from and went to."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from .models import stamp_file

Inputs = tuple[Any, ...]
Stamps = dict[Path, str | None]


class Runs:
    """The files that the runs of a node read and wrote, as they were then.

    A node's fingerprint is `count_outdated`: it grows when a file of the last run with the same
    inputs was replaced or deleted, and ComfyUI then runs the node instead of reusing its result.
    """

    def __init__(self):
        self._stamps: dict[Inputs, Stamps] = {}
        self._outdated: Counter[Inputs] = Counter()

    def record(self, inputs: Inputs, stamps: Stamps) -> None:
        self._stamps[inputs] = stamps

    def count_outdated(self, given: Inputs) -> int:
        """How often a run with these inputs was found outdated; an input that is linked is None,
        and matches any."""
        for inputs in [inputs for inputs in self._stamps if matches(given, inputs)]:
            if any(stamp_file(path) != stamp for path, stamp in self._stamps[inputs].items()):
                del self._stamps[inputs]
                self._outdated[given] += 1
        return self._outdated[given]


def matches(given: Inputs, inputs: Inputs) -> bool:
    return all(value in (None, known) for value, known in zip(given, inputs, strict=True))
