"""The run: steps, a log, evaluations, checkpoints; what stops it can't lose it."""

from __future__ import annotations

import signal
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from tqdm import tqdm

import odvae_core

from .config import Config
from .data import Samples, load_footage
from .dice import Dice
from .ema import Ema, decay_of
from .evaluation import cut_held_out, measure
from .journal import Journal, describe
from .losses import Objective
from .muon import Muon
from .networks import make_vae
from .state import load_checkpoint, save_checkpoint
from .steps import Stepper, learning_rate

NOISE = -1
"""The place in the key of posterior noise, where samples have their index."""


class Run:
    """All that a run holds: network, optimiser, average, step."""

    def __init__(self, config: Config):
        set_seed(config.run.seed)
        self.config, self.step, self.skipped = config, 0, 0
        self.folder = Path(config.run.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.accelerator = Accelerator(mixed_precision=config.run.precision)
        vae = make_vae(config.model)
        settings = config.optimiser
        optimiser = Muon(vae.parameters(), settings.learning_rate, settings.betas)
        objective = Objective(vae, config.loss)
        self.objective, self.optimiser = self.accelerator.prepare(objective, optimiser)
        self.vae = self.accelerator.unwrap_model(self.objective).vae
        self.ema = Ema(self.vae, decay_of(settings.ema_half_life * config.steps))
        self.stepper = Stepper(self.accelerator, self.objective, self.optimiser, settings)
        self.journal = Journal(self.folder / "log.jsonl", self.accelerator.is_main_process)
        self.stopping = False

    def resume(self) -> None:
        """Go on from the folder's checkpoint, if there is one."""
        state = load_checkpoint(self.folder / "checkpoint.pt")
        if state is None:
            return
        self.vae.load_state_dict(state["vae"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.ema.load_state_dict(state["ema"])
        self.step, self.skipped = state["step"], state["skipped"]

    def save(self) -> None:
        """Write the checkpoint that `resume` reads."""
        if not self.accelerator.is_main_process:
            return
        state = {
            "vae": self.vae.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "ema": self.ema.state_dict(),
            "step": self.step,
            "skipped": self.skipped,
        }
        save_checkpoint(state, self.folder / "checkpoint.pt")

    def advance(self, samples: Samples) -> dict[str, float]:
        """Take the next step."""
        phase = self.config.phase_at(self.step)
        processes, rank = self.accelerator.num_processes, self.accelerator.process_index
        indices = range(rank, phase.batch, processes)
        video = samples.batch(self.step, indices, phase.frames, phase.size)
        noise = Dice(self.config.run.seed, self.step, NOISE, rank).generator
        rate = learning_rate(self.config.optimiser, self.step, self.config.steps)
        values = self.stepper.take(video.to(self.accelerator.device), noise, rate)
        self.step += 1
        self.skipped += int(values.pop("skipped"))
        if not self.stepper.skipped_in_a_row:
            self.ema.update(self.vae)
        return {**values, "rate": rate, "skipped": self.skipped}

    def evaluate(self, crops: dict[int, torch.Tensor]) -> None:
        """Measure the averaged weights, log it, and export them."""
        if not self.accelerator.is_main_process:
            return
        with self.ema.swapped_in(self.vae):
            with self.accelerator.autocast():
                self.journal.write("evaluation", step=self.step, **measure(self.vae, crops))
            odvae_core.save(self.vae, self.folder / "ema.safetensors", dtype=torch.float32)


class Stopping:
    """Turns true on SIGTERM and SIGINT, so that the step in hand can be finished and saved."""

    def __init__(self):
        self.asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.ask)

    def ask(self, number: int, frame: object) -> None:
        """Take the signal's call."""
        self.asked = True

    def agreed(self, accelerator: Accelerator) -> bool:
        """Whether any process was asked: all stop after the same step."""
        asked = torch.tensor([int(self.asked)], device=accelerator.device)
        return bool(accelerator.gather(asked).any())


def train(config: Config) -> None:
    """Train until the last phase ends, or a signal asks to stop; then save.

    A folder that holds a checkpoint goes on from there.
    """
    run, stopping = Run(config), Stopping()
    run.resume()
    samples = Samples(load_footage(config.data), config.data, config.run.seed)
    main = run.accelerator.is_main_process
    crops = cut_held_out(config.data, config.evaluation) if main else {}
    run.journal.write("start", step=run.step, **describe(config, run.vae))
    rhythm, saved = config.run, run.step
    bar = tqdm(total=config.steps, initial=run.step, disable=not main)
    while run.step < config.steps and not stopping.agreed(run.accelerator):
        values = run.advance(samples)
        bar.update()
        if run.step % rhythm.log_every == 0:
            run.journal.write("step", step=run.step, **values)
        if run.step % rhythm.evaluate_every == 0 or run.step == config.steps:
            run.evaluate(crops)
        if run.step % rhythm.save_every == 0:
            run.save()
            saved = run.step
    if saved != run.step:
        run.save()
    run.journal.write("stop", step=run.step)
