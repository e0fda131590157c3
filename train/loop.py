"""From a configuration to trained weights: what happens when, and what ends it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from torch import Tensor
from tqdm import tqdm

from .config import Config, Shape
from .data import Batch, BrokenDataError, Samples, load_samples, make_batches
from .dice import Dice
from .evaluation import cut_held_out
from .journal import describe
from .run import Run

PICTURES = -3
"""The last number in the key that decides whether a step takes pictures."""


class Stopping:
    """Turns true on SIGTERM and SIGINT, so that the step in hand can be finished and saved."""

    def __init__(self):
        self.asked = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Catch the signals inside, and leave them to whom they were before outside."""
        numbers = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, self.ask) for number in numbers}
        try:
            yield
        finally:
            for number, action in before.items():
                signal.signal(number, action)

    def ask(self, number: int, frame: object) -> None:
        """Take the signal's call."""
        self.asked = True


def train(config: Config) -> Run:
    """Train until the last phase ends, or a signal asks to stop; save then, and return the run.

    A folder that holds a checkpoint goes on from there. Raises ConfigError where something that the
    configuration names is missing, DivergedError where training does not come back, and
    BrokenDataError where too many clips break on the way; its steps are saved.
    """
    return carry_out(Run(config))


def carry_out(run: Run) -> Run:
    """What `train` does with a run that is made."""
    config, stopping = run.config, Stopping()
    run.resume()
    with run.accelerator.main_process_first():  # which looks at the files, and remembers
        samples = load_samples(config.data, config.run.seed, run.folder / "clips.json")
    crops = cut_held_out(config.data, config.evaluation) if run.is_main else {}
    run.begin({**describe(config, run.vae), **run.describe(), "data": samples.manifest_hash})
    with stopping.listening():
        try:
            reason = go_on(run, samples, crops, stopping)
        except BrokenDataError:
            run.write()  # the steps so far are good, and the others can't be waited for
            raise
    run.journal.write("stop", step=run.step, reason=reason)
    run.accelerator.end_training()
    return run


def go_on(run: Run, samples: Samples, crops: dict[int, Tensor], stopping: Stopping) -> str:
    """Take steps until the end or a signal; which of the two it was."""
    config, rhythm = run.config, run.config.run
    for batch in open_batches(run, samples):
        values = run.advance(batch.video, batch.indices)
        if run.step % rhythm.log_every == 0:
            run.journal.write("step", step=run.step, **values)
        for skip in batch.skipped:
            run.journal.write("clip", name=skip.name, reason=skip.reason)
        stops = run.agree(stopping.asked)
        ends = stops or run.step == config.steps
        due = run.step % rhythm.evaluate_every == 0 or run.step == config.steps
        best = due and run.evaluate(crops)
        if best or ends or run.step % rhythm.save_every == 0:
            run.save(best)
        if stops:
            return "signal"
    return "end"


def open_batches(run: Run, samples: Samples) -> Iterator[Batch]:
    """This process's batches from the run's step on, with a progress bar."""
    config, processes = run.config, run.accelerator.num_processes
    schedule = partial(choose_shape, config)
    rank, workers = run.accelerator.process_index, config.run.workers
    batches = make_batches(samples, run.step, config.steps, schedule, rank, processes, workers)
    return tqdm(batches, total=config.steps, initial=run.step, disable=not run.is_main)


def choose_shape(config: Config, step: int) -> Shape:
    """What the batch of a step counted from 0 looks like."""
    phase = config.phase_at(step)
    if Dice(config.run.seed, step, PICTURES).chance(phase.image_share):
        return Shape(phase.image_batch, 1, phase.size)
    return Shape(phase.batch, phase.frames, phase.size)
