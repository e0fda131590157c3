"""The `odvae` command: from the command line to an exit status."""

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from types import FrameType

from .commands.arguments import make_parser
from .commands.messages import Messages

STOPPED = 130  # as a shell reports a command that Ctrl-C ended
ENDING = ("SIGTERM", "SIGHUP")


class Ended(BaseException):
    """A signal asks the process to end; `status` is what a shell reports then."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.status = 128 + number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    0: done; 1: it failed; 2: a wrong call or a bad file; 130: stopped by Ctrl-C; 143 and 129: ended
    by SIGTERM or SIGHUP. A wrong call and `--help` raise `SystemExit`, as argparse does.
    """
    with redirect_stderr(Messages(sys.stderr)), raising_signals():
        options = make_parser().parse_args(arguments)
        try:
            from .commands.running import run  # brings torch along, so only now

            return run(options)
        except KeyboardInterrupt:
            sys.stderr.write("\nodvae: stopped; nothing half-written was left\n")
            return STOPPED
        except Ended as ended:
            sys.stderr.write(f"\nodvae: {ended}; nothing half-written was left\n")
            return ended.status


@contextmanager
def raising_signals() -> Iterator[None]:
    """Let the signals that end a process raise `Ended`, once, so that files are cleaned up.

    A signal that is ignored, as by nohup, stays so.
    """
    signals = [getattr(signal, name) for name in ENDING if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        signals = []  # only the main thread may handle them
    handled = [number for number in signals if signal.getsignal(number) is signal.SIG_DFL]
    for number in handled:
        signal.signal(number, raise_ended)
    try:
        yield
    finally:
        for number in handled:
            signal.signal(number, signal.SIG_DFL)


def raise_ended(number: int, _frame: FrameType | None) -> None:
    """Raise `Ended`; the same signal again doesn't interrupt the cleaning up."""
    signal.signal(number, signal.SIG_IGN)
    raise Ended(number)
