"""The `odvae` command: from the command line to an exit status."""

import sys
from collections.abc import Sequence

from .commands.arguments import make_parser

STOPPED = 130  # as a shell reports a command that Ctrl-C ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    0: done; 1: it failed; 2: a wrong call or a bad file; 130: stopped by Ctrl-C. A wrong call and
    `--help` raise `SystemExit`, as argparse does.
    """
    options = make_parser().parse_args(arguments)
    try:
        from .commands.running import run  # brings torch along, so only now

        return run(options)
    except KeyboardInterrupt:
        sys.stderr.write("\nodvae: stopped; nothing half-written was left\n")
        return STOPPED
