"""`python -m train.report RUN [RUN ...]`: losses, PSNR, the last contact sheet and the settings.

One self-contained HTML page, or a PNG; several runs are drawn in the same plots. The runs may still
be training.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from odvae_core.files.atomic import replacing

from .figure import draw_figure, render_png
from .history import read_histories
from .page import write_page

SUFFIXES = (".html", ".png")


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m train.report", description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="a run's folder or log")
    parser.add_argument(
        "--output",
        type=Path,
        help="FILE.html or FILE.png; by default report.html in the first run's folder",
    )
    options = parser.parse_args(arguments)
    if options.output is not None and options.output.suffix not in SUFFIXES:
        parser.error(f"--output got {options.output.name}; end it in {' or '.join(SUFFIXES)}")
    return options


def write_report(runs: list[Path], output: Path | None = None) -> Path:
    """Write the report of runs; its path is returned."""
    histories = read_histories(runs)
    figure = draw_figure(histories)
    output = output or histories[0].folder / "report.html"
    if output.suffix == ".png":
        content = render_png(figure, histories)
    else:
        content = write_page(histories, figure).encode()
    with replacing(output) as temporary:
        temporary.write_bytes(content)
    return output


def main(arguments: list[str]) -> int:
    """Write the report and print its path."""
    options = parse_arguments(arguments)
    try:
        print(write_report(options.runs, options.output))
    except OSError as error:
        print(f"train.report: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
