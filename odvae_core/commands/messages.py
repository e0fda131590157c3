"""Where progress and messages of a command go."""

import os
import sys
from typing import Any, TextIO


class Messages:
    """A text stream that drops what can't be written: no run ends for the sake of its progress.

    A terminal may be gone, a log's disk full, or stderr closed from the start.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream or open(os.devnull, "w")  # noqa: SIM115, PTH123 (as sys.stderr is)

    def write(self, text: str) -> int:
        """Write text, or drop it."""
        try:
            return self._stream.write(text)
        except (OSError, ValueError):  # ValueError: a closed file
            return len(text)

    def flush(self) -> None:
        """Flush the stream, if it can be."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            return

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def write_text(text: str) -> None:
    """Write the text of a result to stdout; characters that it can't show are escaped.

    Raises `OSError` where it takes none.
    """
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except OSError as error:
        raise OSError(f"the result can't be written to stdout ({error.strerror})") from error
