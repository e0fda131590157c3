"""The training loop: from a configuration to trained weights.

A training step is in four files: `run.py` (`Run.train_step`: learning rates, noise, moving
average), `step.py` (forward and backward pass, optimisers), `objective.py` (the VAE's forward pass)
and `losses.py` (every term).
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from torch import Tensor
from tqdm import tqdm

from .agreement import check_same_clips
from .config import Config, Shape
from .data import Batch, BrokenDataError, TrainingSet, load_training_set, make_batches
from .evaluation import cut_held_out
from .keyed_random import KeyedRandom
from .run import Run
from .run_log import describe_run

PICTURES_KEY = -3
"""The last number of the random key that decides whether a step uses pictures."""


class StopSignal:
    """Records SIGTERM and SIGINT, so that the current step is finished and saved first."""

    def __init__(self):
        self.received = False

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Catch the signals inside the context; the former handlers are restored after it."""
        numbers = (signal.SIGTERM, signal.SIGINT)
        before = {number: signal.signal(number, self.receive) for number in numbers}
        try:
            yield
        finally:
            for number, action in before.items():
                signal.signal(number, action)

    def receive(self, number: int, frame: object) -> None:
        """Handle a signal."""
        self.received = True


def train(config: Config) -> Run:
    """Train until the last phase or a signal ends the run, save a checkpoint, and return the run.

    A folder with checkpoints is resumed. Raises ConfigError where a file or folder of the
    configuration is missing, DivergedError where too many steps in a row are not finite, and
    BrokenDataError where too many clips can't be read; the steps before it are then saved.
    """
    return train_run(Run(config))


def train_run(run: Run) -> Run:
    """Train an existing run, as `train` does."""
    config, stop_signal = run.config, StopSignal()
    run.resume()
    with run.accelerator.local_main_process_first():  # one on each machine probes the files
        training_set = load_training_set(config.data, config.run.seed, run.folder / "clips.json")
    check_same_clips(training_set.manifest_hash)
    crops = cut_held_out(config.data, config.evaluation) if run.is_main else {}
    run.log_start({**describe_run(config, run.vae), "data": training_set.manifest_hash})
    with stop_signal.caught():
        try:
            reason = run_steps(run, training_set, crops, stop_signal)
        except BrokenDataError:
            run.write_checkpoint()  # without waiting for the other processes, which may not come
            raise
    run.run_log.write("stop", step=run.step, reason=reason)
    run.accelerator.end_training()
    return run


def run_steps(
    run: Run, training_set: TrainingSet, crops: dict[int, Tensor], stop_signal: StopSignal
) -> str:
    """Run steps until the end ("end") or a signal ("signal"): the reason is returned."""
    config, settings = run.config, run.config.run
    for batch in open_batches(run, training_set):
        values = run.train_step(batch.video, batch.indices)
        if run.step % settings.log_every == 0:
            run.run_log.write("step", step=run.step, **values)
        for clip in batch.skipped:
            run.run_log.write("clip", name=clip.name, reason=clip.reason)
        stops = run.any_process(stop_signal.received)
        ends = stops or run.step == config.steps
        due = run.step % settings.evaluate_every == 0 or run.step == config.steps
        best = due and run.evaluate(crops)
        if best or ends or run.step % settings.save_every == 0:
            run.save(best)
        if stops:
            return "signal"
    return "end"


def open_batches(run: Run, training_set: TrainingSet) -> Iterator[Batch]:
    """This process's batches from the run's current step on, with a progress bar."""
    config, processes = run.config, run.accelerator.num_processes
    schedule = partial(choose_shape, config)
    rank, workers = run.accelerator.process_index, config.run.workers
    batches = make_batches(training_set, run.step, config.steps, schedule, rank, processes, workers)
    return tqdm(batches, total=config.steps, initial=run.step, disable=not run.is_main)


def choose_shape(config: Config, step: int) -> Shape:
    """The batch shape of a step counted from 0."""
    phase = config.phase_at(step)
    if KeyedRandom(config.run.seed, step, PICTURES_KEY).chance(phase.image_share):
        return Shape(phase.image_batch, 1, phase.size)
    return Shape(phase.batch, phase.frames, phase.size)
