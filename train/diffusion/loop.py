"""The training loop on latents: from a configuration to trained weights."""

from __future__ import annotations

import time

from ..agreement import check_same_clips
from ..config import ConfigError
from ..loop import StopSignal, UnsavedError
from ..progress import show_progress
from ..run_log import StepMeans
from .batches import Batch, BatchMaker
from .config import DiffusionConfig
from .latents import load_latents
from .run import DiffusionRun


def train(config: DiffusionConfig) -> DiffusionRun:
    """Train until the last step or a signal, save a checkpoint, and return the run.

    A folder with checkpoints is resumed. Raises ConfigError where the latents don't fit,
    DatasetError where they can't be read, DivergedError where too many steps in a row are not
    finite, and UnsavedError where the last step can't be saved.
    """
    run = DiffusionRun(config, load_latents(config.data))
    return train_run(run)


def train_run(run: DiffusionRun) -> DiffusionRun:
    """Train an existing run, as `train` does."""
    indices = choose_indices(run)
    check_same_clips(run.latents.digest)
    run.resume()
    run.log_start(run.describe_start())
    stop_signal = StopSignal()
    with stop_signal.caught():
        reason = run_steps(run, indices, stop_signal)
    run.run_log.write("stop", step=run.step, reason=reason)
    run.accelerator.end_training()
    return run


def choose_indices(run: DiffusionRun) -> range:
    """This process's positions in the global batch. Raises ConfigError where it can't be shared."""
    batch, processes = run.config.training.batch, run.accelerator.num_processes
    if batch % processes:
        raise ConfigError(
            f"training.batch is {batch}, for {processes} processes; give a multiple of them"
        )
    own = batch // processes
    rank = run.accelerator.process_index
    return range(rank * own, (rank + 1) * own)


def run_steps(run: DiffusionRun, indices: range, stop_signal: StopSignal) -> str:
    """Run steps until the end ("end") or a signal ("signal"): the reason is returned."""
    config, settings = run.config, run.config.run
    maker = BatchMaker(run.latents, config.training.batch, settings.seed, config.data.label_dropout)
    means, steps = StepMeans(run.device), range(run.step, config.steps)
    hidden = None if run.is_main else True
    for step in show_progress(steps, total=config.steps, initial=run.step, disable=hidden):
        means.add(time_step(run, maker.draw(step, indices)))
        if run.step % settings.log_every == 0:
            run.run_log.write("step", step=run.step, **means.take(), skipped=run.skipped)
        stops = run.any_process(stop_signal.received)
        ends = stops or run.step == config.steps
        if run.step % settings.evaluate_every == 0 or run.step == config.steps:
            run.evaluate()
        if (ends or run.step % settings.save_every == 0) and not run.save() and ends:
            raise UnsavedError(run.step, run.folder)
        if stops:
            return "signal"
    return "end"


def time_step(run: DiffusionRun, batch: Batch) -> dict[str, float]:
    """Run a step: its values, and its seconds."""
    start = time.monotonic()
    values = run.train_step(batch)
    return {**values, "seconds_per_step": time.monotonic() - start}
