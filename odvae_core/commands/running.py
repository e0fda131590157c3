"""One command from its options to its exit status: results go to stdout, all else to stderr."""

import logging
import os
import sys
import traceback
from argparse import Namespace

import torch

from ..checkpoint import CheckpointError
from ..files.atomic import BusyError
from ..latents import LatentError
from ..video import VideoError
from . import bench, decode, encode, encode_dataset, evaluate, inflate, info, reconstruct
from .result import Result, write_result

RUNS = {
    "info": info.run,
    "reconstruct": reconstruct.run,
    "encode": encode.run,
    "encode-dataset": encode_dataset.run,
    "decode": decode.run,
    "inflate": inflate.run,
    "evaluate": evaluate.run,
    "bench": bench.run,
}
BAD_INPUT = (
    BusyError,
    CheckpointError,
    LatentError,
    VideoError,
    ValueError,
    FileNotFoundError,
    FileExistsError,
)
FAILURE, REFUSAL = 1, 2


def run(options: Namespace) -> int:
    """Run a command; an error is one line on stderr, with a traceback only where asked for."""
    log = logging.getLogger(__name__.removesuffix(".commands.running"))
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("odvae: %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        write_result(execute(options), options.json)
    except Exception as error:
        if options.debug or os.environ.get("ODVAE_DEBUG"):
            traceback.print_exc()
        sys.stderr.write(f"odvae: {describe(error)}\n")
        return REFUSAL if isinstance(error, BAD_INPUT) else FAILURE
    finally:
        log.removeHandler(handler)
    return 0


def execute(options: Namespace) -> Result:
    """Run a command without recording gradients."""
    with torch.inference_mode():
        return RUNS[options.command](options)


def describe(error: Exception) -> str:
    """One line: what our own errors say, and for others what to do."""
    text = " ".join(str(error).split())
    if isinstance(error, BAD_INPUT):
        return text
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in text:
        return f"out of memory ({text}); set a smaller --tile, fewer --frames, or --schedule stream"
    if isinstance(error, OSError):
        return text
    return f"{type(error).__name__}: {text}; add --debug for the traceback"
