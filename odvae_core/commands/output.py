"""Output of a command: its result on stdout as text or JSON, its messages on stderr."""

import json
import math
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TextIO


class BestEffortStream:
    """A text stream that ignores write errors, so that a failed message doesn't end the run.

    Examples are a closed terminal, a full disk below a log, or a stderr that is closed from the
    start (None).
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text, or drop it on an error."""
        with suppress(OSError, ValueError):  # ValueError: a closed file
            if self._stream is not None:
                self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush the stream and ignore errors."""
        with suppress(OSError, ValueError):
            if self._stream is not None:
                self._stream.flush()

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self._stream is not None and self._stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@dataclass(frozen=True)
class Result:
    """The result of a command: `facts` are written as JSON, `lines` as text."""

    facts: dict[str, Any]
    lines: list[str]


def write_result(result: Result, as_json: bool) -> None:
    """Write the result to stdout."""
    if as_json:
        write_stdout(json.dumps(to_json_value(result.facts), indent=2, allow_nan=False) + "\n")
    else:
        write_stdout("\n".join(result.lines) + "\n")


def write_stdout(text: str) -> None:
    """Write a text to stdout; characters that its encoding lacks are escaped. Raises `OSError`."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except OSError as error:
        raise OSError(f"the result can't be written to stdout ({error.strerror})") from error


def to_json_value(value: Any) -> Any:
    """A value that JSON allows: non-finite floats become "inf" or "nan", other objects text."""
    if isinstance(value, dict):
        return {str(key): to_json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json_value(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value if value is None or isinstance(value, str | int) else str(value)


def format_bytes(count: int) -> str:
    """A number of bytes in GiB or MiB."""
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
