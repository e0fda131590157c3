"""`python -m train` or `accelerate launch -m train`: train a VAE with a TOML configuration."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from .config import ConfigError, load_config


def parse_arguments(
    arguments: list[str], prog: str = "python -m train", description: str | None = __doc__
) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument(
        "--config",
        type=Path,
        required=True,
        help="a TOML file, for example train/configs/tiny.toml",
    )
    parser.add_argument(
        "--set",
        dest="settings",
        metavar="SECTION.KEY=VALUE",
        action="append",
        default=[],
        help="set one key of the configuration, for example data.path=CLIPS; may be repeated",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Train; a run folder with checkpoints is resumed."""
    options = parse_arguments(arguments)
    try:
        config = load_config(options.config, options.settings)
    except (ConfigError, OSError) as error:
        print(f"train: {error}", file=sys.stderr)
        return 2
    from odvae_core import CheckpointError

    from .data import BrokenDataError
    from .loop import UnsavedError, train  # imports torch, which an invalid call doesn't need
    from .step import DivergedError

    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO)
    try:
        train(config)
    except (ConfigError, BrokenDataError, DivergedError, CheckpointError, UnsavedError) as error:
        print(f"train: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
