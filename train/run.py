"""All that a run holds, its steps, evaluations and checkpoints."""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import set_seed
from torch import Tensor, nn

import odvae_core
from odvae_core.metrics.perceptual import load_lpips

from .accelerators import make_accelerator
from .checkpoints import Checkpoints, Kept
from .config import Config, OptimiserConfig, Phase
from .dice import Dice
from .discriminator import Discriminator
from .ema import Ema
from .image_space import ImageSpace
from .journal import Journal
from .networks import freeze, make_vae, warn_of_heat
from .objective import Objective
from .optimisers import learning_rate, make_optimiser
from .steps import Judges, Player, Stepper, name_culprits
from .trackers import check_trackers, start_trackers
from .watch import measure, show

log = logging.getLogger(__name__)

NOISE, MAPPING = -1, -2
"""The last numbers in the keys of posterior noise and of CV-VAE's mapping."""


class Run:
    """Networks, optimisers, average, step: all that a checkpoint keeps, and what moves it on."""

    def __init__(self, config: Config):
        check_trackers(config.run.trackers)
        set_seed(config.run.seed)
        self.config, self.step, self.skipped = config, 0, 0
        self.best: float | None = None
        self.facts: dict[str, Any] = {}
        self.folder = Path(config.run.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.accelerator = make_accelerator(config)
        self.vae = make_vae(config.model)
        warn_of_heat(config)
        self.objective, self.discriminator = self.make_players()
        self.ema = Ema(self.vae, config.ema)
        self.stepper = Stepper(
            self.accelerator, self.objective, self.discriminator, self.make_judges(), config
        )
        self.frozen: tuple[str, ...] = ()
        self.checkpoints = Checkpoints(self.folder / "checkpoints", Kept(config.run.keep))
        track = self.accelerator.log if config.run.trackers else None
        self.journal = Journal(self.folder / "log.jsonl", self.is_main, track)

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes."""
        return self.accelerator.is_main_process

    def agree(self, flag: bool) -> bool:
        """Whether any process says so: all of them go on alike."""
        if self.accelerator.num_processes == 1:
            return flag
        return bool(
            self.accelerator.gather(torch.tensor([flag], device=self.accelerator.device)).any()
        )

    def describe(self) -> dict[str, Any]:
        """What of a run its configuration doesn't say."""
        facts: dict[str, Any] = {"processes": self.accelerator.num_processes}
        perceptual = self.stepper.judges.perceptual
        if perceptual is not None:
            facts |= {"perceptual": perceptual.network, "perceptual_sha256": perceptual.sha256}
        return facts

    def begin(self, facts: dict[str, Any]) -> None:
        """Write the log's first line; every checkpoint has these facts too."""
        self.facts = facts
        if self.config.run.trackers:
            start_trackers(self.accelerator, self.folder.name, facts["config"])
        self.journal.write("start", step=self.step, **facts)

    def make_players(self) -> tuple[Player, Player | None]:
        """The VAE and, where a phase asks for one, the discriminator, with their optimisers."""
        config = self.config
        variances = ("video", "image") if config.image_space.vae else ("video",)
        objective = Objective(self.vae, config.loss, variances, config.model.recompute)
        players = self.prepare(objective, config.optimiser)
        if not config.is_adversarial:
            return players, None
        discriminator = Discriminator(config.discriminator)
        return players, self.prepare(discriminator, config.discriminator.optimiser)

    def prepare(self, module: nn.Module, settings: OptimiserConfig) -> Player:
        """Hand a module and its optimiser to accelerate."""
        optimiser = make_optimiser(module.parameters(), settings)
        return Player(*self.accelerator.prepare(module, optimiser), settings)

    def make_judges(self) -> Judges:
        """Load what is frozen. Raises where a file doesn't fit, before anything is trained."""
        loss, space, device = self.config.loss, self.config.image_space, self.accelerator.device
        perceptual = None
        if loss.perceptual != "none":
            perceptual = load_lpips(loss.perceptual, Path(loss.perceptual_file)).to(device)
        return Judges(perceptual, ImageSpace(space, self.vae, device) if space.vae else None)

    def enter(self, phase: Phase) -> None:
        """Freeze what the phase freezes; a distributed wrapper must be made anew for that."""
        if phase.frozen == self.frozen:
            return
        bare = self.accelerator.unwrap_model(self.objective.module, keep_fp32_wrapper=False)
        freeze(self.vae, phase.frozen)
        self.objective.module = self.accelerator.prepare_model(bare)
        self.frozen = phase.frozen

    def advance(self, video: Tensor, indices: range) -> dict[str, float]:
        """Take the next step on this process's share [B, 3, T, H, W] of the global batch."""
        start, config = time.monotonic(), self.config
        phase = config.phase_at(self.step)
        self.enter(phase)
        rate = self.set_rates()
        noise = self.draw_noise(video, indices)
        device = self.accelerator.device
        dice = Dice(config.run.seed, self.step, MAPPING)
        values = self.stepper.take(
            video.to(device), noise.to(device), config.losses_of(phase), dice
        )
        if values.pop("skipped"):
            self.skipped += 1
            self.journal.write("skip", step=self.step, terms=name_culprits(values))
        else:
            self.ema.update(self.vae)
        self.step += 1
        seconds = round(time.monotonic() - start, 3)
        return {**values, "rate": rate, "skipped": self.skipped, "seconds_per_step": seconds}

    def set_rates(self) -> float:
        """Give every optimiser its learning rate for this step; the VAE's is returned."""
        for player in (self.discriminator, self.objective):
            if player is not None:
                rate = learning_rate(player.settings, self.step, self.config.steps)
                for group in player.optimiser.param_groups:
                    group["lr"] = rate
        return rate

    def draw_noise(self, video: Tensor, indices: range) -> Tensor:
        """The posterior noise of each sample, whichever process has it: like its latent."""
        vae, (frames, height, width) = self.vae, video.shape[2:]
        time, space = vae.temporal_compression, vae.spatial_compression
        shape = (vae.latent_channels, 1 + (frames - 1) // time, height // space, width // space)
        keys = [(self.config.run.seed, self.step, index, NOISE) for index in indices]
        return torch.stack([torch.randn(shape, generator=Dice(*key).generator) for key in keys])

    def evaluate(self, crops: dict[int, Tensor]) -> bool:
        """Measure, draw and export the averaged weights; whether they are the best so far.

        `crops` {short side: [N, 3, T, H, W]}, on the main process.
        """
        best = False
        if self.is_main:
            with self.ema.swapped_in(self.vae), self.accelerator.autocast():
                best = bool(crops) and self.note_quality(crops)
                self.export()
        return self.agree(best)

    def export(self) -> None:
        """Write the weights in place as `ema.safetensors`; a disk that refuses ends no run."""
        path = self.folder / "ema.safetensors"
        try:
            odvae_core.save(self.vae, path, dtype=torch.float32, step=str(self.step))
        except odvae_core.CheckpointError as error:
            log.warning("%s; the run goes on and the next evaluation tries again", error)

    def note_quality(self, crops: dict[int, Tensor]) -> bool:
        """Log the figures of the weights in place, draw the sheet; whether they are the best."""
        values, sheet = measure(self.vae, crops), Path("sheets") / f"step-{self.step:06d}.png"
        try:
            show(self.vae, crops, self.folder / sheet)
        except OSError as error:
            log.warning("%s could not be drawn (%s); the run goes on: make room", sheet, error)
        self.journal.write(
            "evaluation", step=self.step, weights="ema", sheet=sheet.as_posix(), **values
        )
        best = math.isfinite(values["psnr"]) and (self.best is None or values["psnr"] > self.best)
        self.best = values["psnr"] if best else self.best
        return best

    def save(self, best: bool = False) -> None:
        """Write a checkpoint; all processes wait, so that none runs ahead."""
        self.write(best)
        self.accelerator.wait_for_everyone()

    def write(self, best: bool = False) -> None:
        """Write a checkpoint where this is the main process."""
        if self.is_main:
            facts = {**self.facts, "skipped": self.skipped, "best": self.best}
            written = self.checkpoints.save(self.step, self.parts(), facts, best)
            if written is not None:
                self.journal.write("checkpoint", step=self.step, best=best)

    def parts(self) -> dict[str, dict]:
        """The state dicts that make a checkpoint."""
        unwrap = self.accelerator.unwrap_model
        parts = {
            "objective": unwrap(self.objective.module).state_dict(),
            "optimiser": self.objective.optimiser.state_dict(),
            "ema": self.ema.state_dict(),
        }
        if self.discriminator is not None:
            parts["discriminator"] = unwrap(self.discriminator.module).state_dict()
            parts["discriminator_optimiser"] = self.discriminator.optimiser.state_dict()
        if self.accelerator.scaler is not None:
            parts["scaler"] = self.accelerator.scaler.state_dict()
        return parts

    def resume(self) -> None:
        """Go on from the newest checkpoint that is whole, if there is one.

        Raises CheckpointError where it is of another network.
        """
        checkpoint = self.checkpoints.load_newest()
        if checkpoint is None:
            return
        unwrap, load = self.accelerator.unwrap_model, checkpoint.load
        try:
            unwrap(self.objective.module).load_state_dict(load("objective"))
        except RuntimeError as error:
            raise odvae_core.CheckpointError(
                f"{checkpoint.path} holds another network than model.preset and model.overrides "
                "make: resume with the configuration that it was saved with, or give this run a "
                "run.folder of its own"
            ) from error
        self.objective.optimiser.load_state_dict(load("optimiser"))
        self.ema.load_state_dict(load("ema"))
        if self.discriminator is not None:
            unwrap(self.discriminator.module).load_state_dict(load("discriminator"))
            self.discriminator.optimiser.load_state_dict(load("discriminator_optimiser"))
        if self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(load("scaler"))
        facts = checkpoint.facts
        self.step, self.skipped, self.best = checkpoint.step, facts["skipped"], facts["best"]
