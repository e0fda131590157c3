"""`python -m train.reproduce [CLIPS]`: small versions of the papers' experiments."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CLIPS = ROOT.parent / "shared" / "clips"
HELD_OUT = "sam2-*"
"""The clips that are used if none are named, and those of them that are held out."""

FAILED, WRONG, STOPPED = 1, 2, 130


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m train.reproduce", description=__doc__)
    parser.add_argument("clips", type=Path, nargs="?", help="a folder with videos, five or more")
    parser.add_argument(
        "--held-out",
        metavar="PATTERN",
        action="append",
        default=[],
        help="the clips to evaluate on, for example 'street-*'; by default every fifth",
    )
    parser.add_argument("--output", type=Path, default=ROOT / "output" / "reproduce")
    parser.add_argument("--only", metavar="NAME", nargs="+", help="run these experiments only")
    parser.add_argument(
        "--families", action="store_true", help="run the experiments of IV-VAE and CV-VAE instead"
    )
    parser.add_argument(
        "--diffusion", action="store_true", help="train diffusion models on latents of VAEs instead"
    )
    parser.add_argument("--i3d", type=Path, metavar="FILE", help="for FVD and KVD with --diffusion")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--steps-factor",
        type=float,
        default=1.0,
        help="multiplies the steps of trainings, for tests",
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Run the experiments; 0: all checks passed, 1: one failed, 2: invalid options or clips."""
    options = parse_arguments(arguments)
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
    from odvae_core import CheckpointError
    from odvae_core.video import ListingError, VideoError

    from ..config import ConfigError
    from ..step import DivergedError
    from .diffusion import run_generation
    from .experiments import run_experiments  # imports torch, which an invalid call doesn't need

    if options.clips is None and CLIPS.is_dir():
        options.clips, options.held_out = CLIPS, options.held_out or [HELD_OUT]
    try:
        passed = (run_generation if options.diffusion else run_experiments)(options)
    except KeyboardInterrupt:
        print("reproduce: stopped; the same command resumes", file=sys.stderr)
        return STOPPED
    except (CheckpointError, DivergedError) as error:
        print(f"reproduce: {error}", file=sys.stderr)
        return FAILED
    except (ConfigError, ListingError, VideoError, OSError) as error:
        print(f"reproduce: {error}", file=sys.stderr)
        return WRONG
    return 0 if passed else FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
