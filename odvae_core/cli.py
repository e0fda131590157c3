"""The `odvae` command: parses the command line, runs a command and returns its exit status."""

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from types import FrameType

from .commands.output import BestEffortStream
from .commands.parser import make_parser

INTERRUPTED = 130  # the exit status after Ctrl-C
TERMINATION_SIGNALS = ("SIGTERM", "SIGHUP")


class Terminated(BaseException):
    """A signal requests termination; `status` is the exit status that shells use for it."""

    def __init__(self, number: int) -> None:
        super().__init__(f"terminated by {signal.Signals(number).name}")
        self.status = 128 + number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    0: success; 1: failure; 2: invalid arguments or a bad file; 130: interrupted by Ctrl-C; 143 and
    129: terminated by SIGTERM or SIGHUP. Invalid arguments and `--help` raise `SystemExit`, as in
    argparse.
    """
    with redirect_stderr(BestEffortStream(sys.stderr)), raise_on_signals():
        options = make_parser().parse_args(arguments)
        try:
            from .commands.dispatch import run_command  # imports torch, which --help doesn't need

            return run_command(options)
        except KeyboardInterrupt:
            sys.stderr.write("\nodvae: interrupted; no partial output was left\n")
            return INTERRUPTED
        except Terminated as terminated:
            sys.stderr.write(f"\nodvae: {terminated}; no partial output was left\n")
            return terminated.status


@contextmanager
def raise_on_signals() -> Iterator[None]:
    """Context in which the first termination signal raises `Terminated`, so files are cleaned up.

    Ignored signals, as under nohup, stay ignored.
    """
    signals = [getattr(signal, name) for name in TERMINATION_SIGNALS if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        signals = []  # only the main thread may handle them
    handled = [number for number in signals if signal.getsignal(number) is signal.SIG_DFL]
    for number in handled:
        signal.signal(number, raise_terminated)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, signal.SIG_DFL)


def raise_terminated(number: int, _frame: FrameType | None) -> None:
    """Raise `Terminated` and ignore the same signal from now on, so that cleanup isn't stopped."""
    signal.signal(number, signal.SIG_IGN)
    raise Terminated(number)
