"""Where progress and messages of a command go."""

import sys
from contextlib import suppress
from typing import Any, TextIO


class Messages:
    """A text stream that drops what can't be written: no run ends for the sake of its progress.

    A terminal may be gone, a log's disk full, or stderr closed from the start (None).
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text, or drop it."""
        with suppress(OSError, ValueError):  # ValueError: a closed file
            if self._stream is not None:
                self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream, if it can be."""
        with suppress(OSError, ValueError):
            if self._stream is not None:
                self._stream.flush()

    def isatty(self) -> bool:
        """Whether somebody may be looking."""
        return self._stream is not None and self._stream.isatty()

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
