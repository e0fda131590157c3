"""Batches in the order of steps, made ahead by worker processes where there are any."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from ..config import ConfigError, Shape
from .clips import Skip
from .pools import describe
from .samples import Batch, BrokenDataError, Samples

log = logging.getLogger(__name__)

Schedule = Callable[[int], Shape]
"""What a step's batch looks like. It travels to the workers: no lambda, no local function."""


class Steps(Dataset):
    """A process's batches by their step."""

    def __init__(self, samples: Samples, schedule: Schedule, rank: int, world: int):
        self.samples, self.schedule, self.rank, self.world = samples, schedule, rank, world

    def __getitem__(self, step: int) -> Batch:
        """The part of a step's global batch that belongs to this process."""
        shape = self.schedule(step)
        indices = range(self.rank, shape.batch, self.world)
        return self.samples.batch(step, indices, shape.frames, shape.size)


def make_batches(
    samples: Samples,
    first_step: int,
    steps: int,
    schedule: Schedule,
    rank: int = 0,
    world: int = 1,
    workers: int = 0,
) -> Iterator[Batch]:
    """The batches of this process for the steps from `first_step` up to `steps`.

    They are the same for any number of workers, and together for any number of processes. Each clip
    that is left out is named once, in the log and in `Batch.skipped`. Raises ConfigError before
    anything is read: a batch isn't divisible by the processes, or no clip fits a shape. While
    reading: BrokenDataError, more clips than `data.broken_limit` allows are unreadable, or a worker
    died.
    """
    for shape in dict.fromkeys(schedule(step) for step in range(first_step, steps)):
        if shape.batch % world:
            raise ConfigError(
                f"a batch of {shape.batch} can't be shared by {world} processes; "
                f"set it to a multiple of {world}"
            )
        if samples.config.rendered < 1:
            samples.pool(shape.frames, shape.size)
    ahead: dict[str, Any] = {"worker_init_fn": ignore_signals} if workers else {}
    loader = DataLoader(
        Steps(samples, schedule, rank, world),
        batch_size=None,
        sampler=range(first_step, steps),
        num_workers=workers,
        generator=torch.Generator(),  # else the loader would draw its seed from everybody's
        **ahead,
    )
    return follow(loader, samples, schedule)


def ignore_signals(worker: int) -> None:
    """Let the main process finish its step when a terminal or a scheduler signals all at once."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def follow(loader: DataLoader, samples: Samples, schedule: Schedule) -> Iterator[Batch]:
    """Hand the batches out, and keep count of the clips that are left out."""
    named: set[str] = set()
    broken = {skip.name: skip for skip in samples.broken}
    for batch in watch(loader):
        shape = schedule(batch.step)
        pool = samples.pools.get((shape.frames, shape.size))
        unfit = pool.skipped if pool else ()
        fresh = [s for s in (*samples.broken, *unfit, *batch.skipped) if s.name not in named]
        for skip in fresh:
            named.add(skip.name)
            log.warning("left out: %s: %s", skip.name, skip.reason)
        broken |= {skip.name: skip for skip in batch.skipped}
        check_broken(samples, list(broken.values()))
        yield replace(batch, skipped=tuple(fresh))


def watch(loader: DataLoader) -> Iterator[Batch]:
    """The loader's batches; BrokenDataError, with the remedy, when a worker is gone."""
    try:
        yield from start(loader)
    except (ConnectionError, EOFError, RuntimeError) as error:  # a dead worker's pipe breaks too
        if isinstance(error, RuntimeError) and not str(error).startswith("DataLoader worker"):
            raise
        raise BrokenDataError(
            f"a worker that reads the data died ({error}); give it more memory (/dev/shm too), "
            "or set fewer workers"
        ) from error


def start(loader: DataLoader) -> Iterator[Batch]:
    """Start the workers, if any. One that dies is then found where its batch is waited for.

    Torch would raise wherever the main process is when it hears of it, in the middle of a
    checkpoint too.
    """
    if not hasattr(signal, "SIGCHLD") or threading.current_thread() != threading.main_thread():
        return iter(loader)  # here torch sets no handler
    before = signal.getsignal(signal.SIGCHLD)
    batches = iter(loader)
    signal.signal(signal.SIGCHLD, before)
    return batches


def check_broken(samples: Samples, broken: list[Skip]) -> None:
    """Raise BrokenDataError where more clips broke than the configuration allows."""
    read = sum(len(source.clips) for source in samples.sources) + len(samples.broken)
    if len(broken) > samples.config.broken_limit * read:
        raise BrokenDataError(
            f"{len(broken)} of {read} clips can't be read, data.broken_limit is "
            f"{samples.config.broken_limit}: {describe(broken)}; mend or remove them"
        )
