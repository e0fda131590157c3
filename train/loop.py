"""The training loop: from a configuration to trained weights.

A training step is in four files: `run.py` (`Run.train_step`: learning rates, noise, moving
average), `step.py` (forward and backward pass, optimisers), `objective.py` (the VAE's forward pass)
and `losses.py` (every term).
"""

from __future__ import annotations

import signal
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from torch import Tensor
from tqdm import tqdm

from .agreement import check_same_clips
from .config import Config
from .data import Batch, BrokenDataError, TrainingSet, load_training_set, make_batches
from .data.held_out import limit_clips
from .data.probe_cache import find_cache_file
from .evaluation import read_crops
from .progress import show_progress
from .run import Run
from .run_log import StepMeans, describe_run
from .shapes import ShapeSchedule

FIRST_PART = 10
"""The first evaluation of trained weights is after this part of `run.evaluate_every`."""


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


class UnsavedError(RuntimeError):
    """The last step of a run could not be saved."""

    def __init__(self, step: int, folder: Path):
        super().__init__(
            f"step {step}, the last one, could not be saved in {folder}: make room there and start "
            "the same command again, which repeats the steps since the last checkpoint"
        )


def train(config: Config) -> Run:
    """Train until the last phase or a signal ends the run, save a checkpoint, and return the run.

    A folder with checkpoints is resumed. Raises ConfigError where a file or folder of the
    configuration is missing, DivergedError where too many steps in a row are not finite,
    BrokenDataError where too many clips can't be read (the steps before it are then saved), and
    UnsavedError where the last step can't be saved.
    """
    return train_run(Run(config))


def train_run(run: Run) -> Run:
    """Train an existing run, as `train` does."""
    config, stop_signal, accelerator = run.config, StopSignal(), run.accelerator
    run.resume()
    cache_file = find_cache_file(Path(config.data.path), run.folder)
    with accelerator.local_main_process_first():  # one process of a machine probes the files
        training_set = load_training_set(
            config.data, config.run.seed, cache_file, config.evaluation
        )
    check_same_clips(training_set.manifest_hash)
    held_out = limit_clips(training_set.held_out, config.evaluation.clips)
    rank, world = accelerator.process_index, accelerator.num_processes
    crops = read_crops(held_out, config.evaluation, rank, world)
    data = {"data": training_set.manifest_hash, "held_out": [clip.name for clip in held_out]}
    run.log_start({**describe_run(config, run.vae), **data})
    with stop_signal.caught():
        try:
            reason = run_steps(run, training_set, crops, stop_signal)
        except BrokenDataError:
            if run.is_main:  # without waiting for the other processes, which may not come
                run.write_checkpoint()
            raise
    run.run_log.write("stop", step=run.step, reason=reason)
    accelerator.end_training()
    return run


def run_steps(
    run: Run, training_set: TrainingSet, crops: dict[int, Tensor], stop_signal: StopSignal
) -> str:
    """Run steps until the end ("end") or a signal ("signal"): the reason is returned."""
    config, settings = run.config, run.config.run
    means, stops = StepMeans(run.accelerator.device), False
    if run.step == 0:
        run.evaluate(crops)
    with closing(open_batches(run, training_set)) as batches, open_bar(run) as bar:
        for batch, waited in time_waiting(batches):
            means.add(time_step(run, batch, waited))
            bar.update()
            if run.step % settings.log_every == 0:
                log_step(run, means.take(), bar)
            for clip in batch.skipped:
                run.run_log.write("clip", name=clip.name, reason=clip.reason)
            stops = run.any_process(stop_signal.received)
            ends = stops or run.step == config.steps
            best = is_evaluated(config, run.step) and run.evaluate(crops)
            due = best or ends or run.step % settings.save_every == 0
            if due and not run.save(best) and ends:
                raise UnsavedError(run.step, run.folder)
            if stops:
                return "signal"
    return "end"


def is_evaluated(config: Config, step: int) -> bool:
    """Whether an evaluation follows a step: every so many, the last, and one in the beginning."""
    every = config.run.evaluate_every
    return step % every == 0 or step in (max(1, every // FIRST_PART), config.steps)


def time_waiting(batches: Iterator[Batch]) -> Iterator[tuple[Batch, float]]:
    """Each batch with the seconds that it was waited for."""
    while True:
        start = time.monotonic()
        batch = next(batches, None)
        if batch is None:
            return
        yield batch, time.monotonic() - start


def time_step(run: Run, batch: Batch, waited: float) -> dict[str, float]:
    """Run a step: its values, and its seconds with and without waiting for the batch."""
    start = time.monotonic()
    values = run.train_step(batch.video, batch.indices)
    seconds = time.monotonic() - start + waited
    return {**values, "seconds_per_step": seconds, "seconds_waiting": waited}


def log_step(run: Run, means: dict[str, float], bar: tqdm) -> None:
    """Log the means since the last log; "waiting" is the part of the time without a batch."""
    waiting = means.pop("seconds_waiting") / means["seconds_per_step"]
    counts = {"skipped": run.skipped, "waiting": round(waiting, 3)}
    run.run_log.write("step", step=run.step, **{**means, **counts})
    bar.set_postfix_str(f"waiting for data {waiting:.0%}", refresh=False)


def open_bar(run: Run) -> tqdm:
    """A progress bar of the run's steps."""
    return show_progress(total=run.config.steps, initial=run.step, disable=not run.is_main)


def open_batches(run: Run, training_set: TrainingSet) -> Generator[Batch, None, None]:
    """This process's batches from the run's current step on."""
    config, processes = run.config, run.accelerator.num_processes
    schedule = ShapeSchedule(config.phases, config.run.seed)
    rank, workers = run.accelerator.process_index, config.run.workers
    return make_batches(training_set, run.step, config.steps, schedule, rank, processes, workers)
