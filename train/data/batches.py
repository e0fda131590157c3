"""Batches in the order of steps; worker processes, if any, prepare them ahead."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from multiprocessing import active_children
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader, Dataset

from ..config import ConfigError
from ..config_sections import Shape
from .clips import SkippedClip
from .pools import describe_skipped
from .training_set import Batch, BrokenDataError, TrainingSet

log = logging.getLogger(__name__)


class Schedule(Protocol):
    """The shape of a step's batch. It is pickled for the workers: no local class."""

    def __call__(self, step: int) -> Shape: ...
    def list_shapes(self, first_step: int) -> Sequence[Shape]:
        """All shapes that steps from `first_step` on can have."""
        ...


class BatchDataset(Dataset):
    """A process's batches, indexed by step."""

    def __init__(self, training_set: TrainingSet, schedule: Schedule, rank: int, world: int):
        self.training_set, self.schedule = training_set, schedule
        self.rank, self.world = rank, world

    def __getitem__(self, step: int) -> Batch:
        """This process's part of a step's global batch."""
        shape = self.schedule(step)
        indices = range(self.rank, shape.batch, self.world)
        return self.training_set.draw_batch(step, indices, shape.frames, shape.size)


def make_batches(
    training_set: TrainingSet,
    first_step: int,
    steps: int,
    schedule: Schedule,
    rank: int = 0,
    world: int = 1,
    workers: int = 0,
) -> Generator[Batch, None, None]:
    """The batches of this process for the steps from `first_step` up to `steps`.

    They don't depend on the number of workers; the batches of all processes together don't depend
    on the number of processes. Each skipped clip is named once, in the log and in `Batch.skipped`.
    Raises ConfigError before anything is read: a batch isn't divisible by the processes, or no clip
    fits a shape. While reading it raises BrokenDataError: more clips than `data.broken_limit`
    allows are unreadable, or a worker died.
    """
    for shape in schedule.list_shapes(first_step):
        if shape.batch % world:
            raise ConfigError(
                f"a batch of {shape.batch} can't be shared by {world} processes; "
                f"set it to a multiple of {world}"
            )
        if training_set.config.rendered < 1:
            training_set.pool_for(shape.frames, shape.size)
    worker_options: dict[str, Any] = {"worker_init_fn": ignore_signals} if workers else {}
    loader = DataLoader(
        BatchDataset(training_set, schedule, rank, world),
        batch_size=None,
        sampler=range(first_step, steps),
        num_workers=workers,
        generator=torch.Generator(),  # otherwise the loader draws from torch's global generator
        **worker_options,
    )
    return report_skipped(loader, training_set, schedule)


def ignore_signals(worker: int) -> None:
    """Ignore signals in a worker: only the main process stops, after its step."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def report_skipped(
    loader: DataLoader, training_set: TrainingSet, schedule: Schedule
) -> Generator[Batch, None, None]:
    """The loader's batches with the clips that are skipped for the first time."""
    named: set[str] = set()
    broken = {skip.name: skip for skip in training_set.broken}
    for batch in catch_dead_workers(loader):
        shape = schedule(batch.step)
        pool = training_set.pools.get((shape.frames, shape.size))
        unfit = pool.skipped if pool else ()
        fresh = [s for s in (*training_set.broken, *unfit, *batch.skipped) if s.name not in named]
        for skip in fresh:
            named.add(skip.name)
            log.warning("left out: %s: %s", skip.name, skip.reason)
        broken |= {skip.name: skip for skip in batch.skipped}
        check_broken_limit(training_set, list(broken.values()))
        yield replace(batch, skipped=tuple(fresh))


def catch_dead_workers(loader: DataLoader) -> Iterator[Batch]:
    """The loader's batches; raises BrokenDataError, with the remedy, where a worker died.

    The workers end with the iterator: they ignore the signals that would end them later.
    """
    batches, workers = start_workers(loader)
    try:
        yield from batches
    except (ConnectionError, EOFError, RuntimeError) as error:  # a dead worker's pipe breaks too
        if isinstance(error, RuntimeError) and not str(error).startswith("DataLoader worker"):
            raise
        raise BrokenDataError(
            f"a worker that reads the data died ({error}); give it more memory (/dev/shm too), "
            "or set fewer workers"
        ) from error
    finally:
        for worker in workers:
            worker.kill()
            worker.join()


def start_workers(loader: DataLoader) -> tuple[Iterator[Batch], list[BaseProcess]]:
    """The loader's iterator, without torch's SIGCHLD handler, and its workers.

    The handler raises at any point of the main process, for example while a checkpoint is written.
    Without it a dead worker is detected where its batch is waited for.
    """
    others = active_children()
    if not hasattr(signal, "SIGCHLD") or threading.current_thread() != threading.main_thread():
        batches = iter(loader)  # torch sets no handler here
    else:
        before = signal.getsignal(signal.SIGCHLD)
        batches = iter(loader)
        signal.signal(signal.SIGCHLD, before)
    return batches, [child for child in active_children() if child not in others]


def check_broken_limit(training_set: TrainingSet, broken: list[SkippedClip]) -> None:
    """Raise BrokenDataError where more clips are unreadable than the configuration allows."""
    count = sum(len(source.clips) for source in training_set.sources) + len(training_set.broken)
    if len(broken) > training_set.config.broken_limit * count:
        raise BrokenDataError(
            f"{len(broken)} of {count} clips can't be read, data.broken_limit is "
            f"{training_set.config.broken_limit}: {describe_skipped(broken)}; repair or remove them"
        )
