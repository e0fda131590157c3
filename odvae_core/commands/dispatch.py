"""Runs one command and returns its exit status. Results go to stdout, everything else to stderr."""

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
from .bench import run_bench
from .decode import run_decode
from .encode import run_encode
from .encode_dataset import run_encode_dataset
from .evaluate import run_evaluate
from .export import run_export
from .fit_preview import run_fit_preview
from .inflate import run_inflate
from .info import run_info
from .output import write_result
from .reconstruct import run_reconstruct

RUN_FUNCTIONS = {
    "info": run_info,
    "reconstruct": run_reconstruct,
    "encode": run_encode,
    "encode-dataset": run_encode_dataset,
    "decode": run_decode,
    "inflate": run_inflate,
    "evaluate": run_evaluate,
    "export": run_export,
    "fit-preview": run_fit_preview,
    "bench": run_bench,
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


def run_command(options: Namespace) -> int:
    """Run a command. An error is one line on stderr, with a traceback only for --debug."""
    log = logging.getLogger(__name__.removesuffix(".commands.dispatch"))
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("odvae: %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        with torch.inference_mode():
            result = RUN_FUNCTIONS[options.command](options)
        write_result(result, options.json)
    except Exception as error:
        if options.debug or os.environ.get("ODVAE_DEBUG"):
            traceback.print_exc()
        sys.stderr.write(f"odvae: {describe_error(error)}\n")
        return REFUSAL if isinstance(error, BAD_INPUT) else FAILURE
    finally:
        log.removeHandler(handler)
    return 0


def describe_error(error: Exception) -> str:
    """The error in one line; errors that aren't our own are followed by the remedy."""
    text = " ".join(str(error).split())
    if isinstance(error, BAD_INPUT):
        return text
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in text:
        return f"out of memory ({text}); set a smaller --tile, fewer --frames, or --schedule stream"
    if isinstance(error, OSError):
        return text
    return f"{type(error).__name__}: {text}; add --debug for the traceback"
