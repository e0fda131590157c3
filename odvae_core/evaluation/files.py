"""Results on the disk: whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to, synced and moved into its place when the block ends well.

    Nothing is left behind when it doesn't, and a file that was there before stays.
    """
    aside = path.with_name(f".{secrets.token_hex(4)}-{path.name}")
    try:
        yield aside
        with aside.open("rb+") as file:
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
