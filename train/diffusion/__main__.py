"""`python -m train.diffusion` or `accelerate launch -m train.diffusion`: train a Latte."""

from __future__ import annotations

import logging
import sys

from ..__main__ import parse_arguments
from ..config import ConfigError
from .config import load_config


def main(arguments: list[str]) -> int:
    """Train; a run folder with checkpoints is resumed."""
    options = parse_arguments(arguments, "python -m train.diffusion", __doc__)
    try:
        config = load_config(options.config, options.settings)
    except (ConfigError, OSError) as error:
        print(f"train.diffusion: {error}", file=sys.stderr)
        return 2
    from odvae_core import CheckpointError
    from odvae_core.dataset import DatasetError

    from ..loop import UnsavedError
    from ..step import DivergedError
    from .loop import train  # imports torch, which an invalid call doesn't need

    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.INFO)
    try:
        train(config)
    except (ConfigError, DatasetError, DivergedError, CheckpointError, UnsavedError) as error:
        print(f"train.diffusion: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
