"""Progress bars that can't end a run."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, TextIO

from tqdm import tqdm


class SafeStream:
    """A text stream whose failed writes are ignored, for example to a full disk or a closed pipe.

    Other attributes are the stream's own.
    """

    def __init__(self, stream: TextIO):
        self.stream = stream

    def write(self, text: str) -> int:
        """Write a text where that is possible."""
        with suppress(OSError, ValueError):
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream where that is possible."""
        with suppress(OSError, ValueError):
            self.stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def show_progress(items: Iterable | None = None, **options: Any) -> tqdm:
    """A progress bar of `items` on stderr, with tqdm's options."""
    return tqdm(items, file=SafeStream(sys.stderr), **options)  # pyright: ignore
