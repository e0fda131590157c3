"""The state of a run, and what changes it: training steps, evaluations and checkpoints."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from torch import Tensor

import odvae_core

from .config import Config, Phase
from .contact_sheet import ROWS
from .discriminator import Discriminator, trains_discriminator_only
from .ema import Ema
from .evaluation import EvaluationPart, evaluate_part
from .keyed_random import KeyedRandom
from .networks import freeze_parts, make_vae, warn_of_high_learning_rate
from .objective import Objective
from .optimisers import ModuleWithOptimiser, learning_rate_at
from .saved_run import SavedRun
from .step import StepRunner, load_loss_networks, name_non_finite

log = logging.getLogger(__name__)

NOISE_KEY, MAPPING_KEY = -1, -2
"""The last numbers of the random keys of posterior noise and of CV-VAE's mapping."""


class Run(SavedRun):
    """The networks, optimisers, moving average and step of a run: the content of a checkpoint."""

    def __init__(self, config: Config):
        super().__init__(config)
        self.best: float | None = None
        self.vae = make_vae(config.model).to(self.device)
        warn_of_high_learning_rate(config)
        self.objective, self.discriminator = self.make_trained_modules()
        self.ema = Ema(self.vae, config.ema)
        loss_networks = load_loss_networks(config, self.vae, self.device)
        self.step_runner = StepRunner(
            self.objective, self.discriminator, loss_networks, self.precision, config
        )
        self.frozen: tuple[str, ...] = ()

    def log_start(self, facts: dict[str, Any]) -> None:
        """As every run's; LPIPS' hash is one of the facts."""
        perceptual = self.step_runner.loss_networks.perceptual
        if perceptual is not None:
            facts |= {"perceptual": perceptual.network, "perceptual_sha256": perceptual.sha256}
        super().log_start(facts)

    def make_trained_modules(self) -> tuple[ModuleWithOptimiser, ModuleWithOptimiser | None]:
        """The VAE and, if a phase uses one, the discriminator, with their optimisers."""
        config, device = self.config, self.device
        variances = ("video", "image") if config.image_space.vae else ("video",)
        objective = Objective(self.vae, config.loss, variances, config.model.recompute)
        trained = ModuleWithOptimiser(objective.to(device), config.optimiser)
        if not config.is_adversarial:
            return trained, None
        discriminator = Discriminator(config.discriminator).to(device)
        return trained, ModuleWithOptimiser(discriminator, config.discriminator.optimiser)

    def enter_phase(self, phase: Phase) -> None:
        """Freeze the parts that the phase names, and train the others."""
        if phase.frozen != self.frozen:
            freeze_parts(self.vae, phase.frozen)
            self.objective.update_trained()
            self.frozen = phase.frozen

    def train_step(self, video: Tensor, indices: range) -> dict[str, float]:
        """Run the next step on this process's part [B, 3, T, H, W] of the global batch.

        `indices` are the samples' positions in the global batch. The values to log are returned; a
        skipped step has none of its own.
        """
        config, device = self.config, self.device
        phase, rate = config.phase_at(self.step), self.set_learning_rates()
        self.enter_phase(phase)
        weights, noise = config.losses_of(phase), self.draw_noise(video, indices).to(device)
        if apart := trains_discriminator_only(config.discriminator, weights, self.step):
            values = self.step_runner.run_discriminator_step(video.to(device), noise)
        else:
            rng = KeyedRandom(config.run.seed, self.step, MAPPING_KEY)
            values = self.step_runner.run_step(video.to(device), noise, weights, rng)
        if values.pop("skipped"):
            self.skipped += 1
            self.run_log.write("skip", step=self.step, terms=name_non_finite(values))
            values = {}
        elif not apart:
            self.ema.update(self.vae)
        self.step += 1
        return {**values, "rate": rate, "skipped": self.skipped}

    def set_learning_rates(self) -> float:
        """Set every optimiser's learning rate for this step; the VAE's is returned."""
        for trained in (self.discriminator, self.objective):
            if trained is not None:
                rate = learning_rate_at(trained.settings, self.step, self.config.steps)
                for group in trained.optimiser.param_groups:
                    group["lr"] = rate
        return rate

    def draw_noise(self, video: Tensor, indices: range) -> Tensor:
        """The posterior noise of each sample, shaped like its latent; the same in any process."""
        vae, (frames, height, width) = self.vae, video.shape[2:]
        time, space = vae.temporal_compression, vae.spatial_compression
        shape = (vae.latent_channels, 1 + (frames - 1) // time, height // space, width // space)
        keys = [(self.config.run.seed, self.step, index, NOISE_KEY) for index in indices]
        generators = [KeyedRandom(*key).generator for key in keys]
        return torch.stack([torch.randn(shape, generator=generator) for generator in generators])

    def evaluate(self, crops: dict[int, Tensor]) -> bool:
        """Evaluate and export the averaged weights; whether they are the best trained so far.

        `crops` {short side: [N, 3, T, H, W]} are this process's part.
        """
        rows = -(-ROWS // self.accelerator.num_processes)
        with self.ema.swapped_in(self.vae), self.precision.autocast():
            part = evaluate_part(self.vae, crops, rows)
            if self.is_main:
                self.export_weights()
        parts = [part for part in gather_object([part]) if part.pairs]
        return self.any_process(self.is_main and bool(parts) and self.log_evaluation(parts))

    def export_weights(self) -> None:
        """Write the current weights as `ema.safetensors`; a failed write gives a warning."""
        path = self.folder / "ema.safetensors"
        try:
            odvae_core.save(self.vae, path, dtype=torch.float32, step=str(self.step))
        except odvae_core.CheckpointError as error:
            log.warning("%s; the run continues and the next evaluation tries again", error)

    def log_evaluation(self, parts: list[EvaluationPart]) -> bool:
        """Log and draw the evaluation of all processes; whether it is the best so far."""
        sheet = Path("sheets") / f"step-{self.step:06d}.png"
        whole, *others = parts
        for part in others:
            whole.extend(part)
        values = whole.summary()
        try:
            whole.draw(self.folder / sheet)
        except OSError as error:
            log.warning("%s can't be written (%s); the run continues: make room", sheet, error)
        self.run_log.write(
            "evaluation", step=self.step, weights="ema", sheet=sheet.as_posix(), **values
        )
        best = math.isfinite(values["psnr"]) and (self.best is None or values["psnr"] > self.best)
        if not best or not self.step:  # the initial weights are not trained
            return False
        self.best = values["psnr"]
        return True

    def count_facts(self) -> dict[str, Any]:
        """The values of a checkpoint that change with every step."""
        return {**super().count_facts(), "best": self.best}

    def list_parts(self) -> dict[str, Any]:
        """The objects whose state dicts make a checkpoint, by the name of their part."""
        parts = {
            "objective": self.objective.module,
            "optimiser": self.objective.optimiser,
            "ema": self.ema,
        }
        if self.discriminator is not None:
            parts["discriminator"] = self.discriminator.module
            parts["discriminator_optimiser"] = self.discriminator.optimiser
        return parts

    def resume(self) -> dict[str, Any]:
        """As every run; with the best PSNR so far."""
        facts = super().resume()
        if facts:
            self.best = facts["best"]
        return facts
