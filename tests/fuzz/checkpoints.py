"""Count how checkpoints that were broken on purpose are read: `python -m tests.fuzz.checkpoints`.

Clean is a file that loads, or is refused with a `CheckpointError`; wrong is any other exception,
more than `CPU_SECONDS` of work, or more than `MEMORY` of memory.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import resource
import shutil
import signal
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import torch

import odvae_core as odvae
from tests.fuzz import mutate_pickles, mutate_text, mutate_weights

MUTATORS = (*mutate_weights.MUTATORS, *mutate_text.MUTATORS, *mutate_pickles.MUTATORS)
CPU_SECONDS = 10
MEMORY = 2**30
ADDRESS_SPACE = 12 * 2**30
"""Of a whole process: what is asked for beyond it fails at once, so no mutant fills a machine."""

LARGE_REQUEST = ("can't allocate memory", "DefaultCPUAllocator", "Cannot allocate memory")


class TooSlowError(BaseException):
    """A file took more than `CPU_SECONDS`; nothing that catches an `Exception` catches it."""


@contextmanager
def limit_work() -> Iterator[None]:
    """Raise `TooSlowError` after `CPU_SECONDS` of processor time, or twenty times that in all."""

    def stop(*_: object) -> None:
        raise TooSlowError

    handlers = [signal.signal(name, stop) for name in (signal.SIGPROF, signal.SIGALRM)]
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    signal.setitimer(signal.ITIMER_REAL, 20 * CPU_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for name, handler in zip((signal.SIGPROF, signal.SIGALRM), handlers, strict=True):
            signal.signal(name, handler)


def write_mutant(seed: int, folder: Path) -> tuple[str, Path]:
    """Write the mutant of a number; its mutator's name and the file or folder to load."""
    rng = Random(seed)
    mutator = MUTATORS[seed % len(MUTATORS)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch and zipfile, on content that is odd by design
        return mutator.__name__, mutator(rng, folder)


def judge(path: Path) -> str:
    """ "" where a file is read cleanly, else what went wrong."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        with limit_work():
            read_checkpoint(path)
    except odvae.CheckpointError as error:
        causes = (str(error), str(error.__cause__), repr(error.__cause__))
        if any(words in text for words in (*LARGE_REQUEST, "MemoryError") for text in causes):
            return "asks for too much memory"
    except TooSlowError:
        return "is too slow"
    except Exception as error:
        return type(error).__name__
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    return "takes too much memory" if grown > MEMORY else ""


def read_checkpoint(path: Path) -> None:
    """Load a checkpoint; what is no video VAE of ours may be a 2D VAE, so is inflated too."""
    try:
        odvae.load(path)
    except odvae.CheckpointError:
        odvae.inflate(path, "odvae-stream")


def judge_mutant(seed: int) -> tuple[str, str]:
    """The mutator's name of a mutant and what went wrong, "" if nothing."""
    folder = Path(tempfile.mkdtemp(prefix="fuzz"))
    try:
        name, path = write_mutant(seed, folder)
        return name, judge(path)
    finally:
        shutil.rmtree(folder)


def prepare_process() -> None:
    """Limit the process's memory, and keep it quiet."""
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("error")


def count_mutants(first: int, count: int) -> Iterator[tuple[int, str, str]]:
    """Judge mutants, each in a process of few; one that dies is wrong too."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1, prepare_process, maxtasksperchild=500) as pool:
        for seed in range(first, first + count):
            result = pool.apply_async(judge_mutant, (seed,))
            try:
                yield seed, *result.get(timeout=60 * CPU_SECONDS)
            except multiprocessing.TimeoutError:
                yield seed, MUTATORS[seed % len(MUTATORS)].__name__, "dies or hangs"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    totals, wrongs = Counter(), Counter()
    for seed, name, wrong in count_mutants(options.first, options.count):
        totals[name] += 1
        if wrong:
            wrongs[name] += 1
            print(f"{seed}: {name} {wrong}")  # noqa: T201
    for name in totals:
        print(f"{name:20} {totals[name]:6} files, {wrongs[name]:4} wrong")  # noqa: T201
    files, wrong = totals.total(), wrongs.total()
    print(f"{files} files, {files - wrong} clean, {wrong} wrong")  # noqa: T201
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main())
