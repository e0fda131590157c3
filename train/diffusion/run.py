"""The state of a training on latents, and what changes it: steps, evaluations and checkpoints."""

from __future__ import annotations

import json
import logging
import math
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import set_seed
from torch import nn

import odvae_core
from odvae_core import diffusion
from odvae_core.diffusion import Latte

from ..agreement import agree_on_checkpoint
from ..changes import check_same_run, list_changes, load_part, warn_of_changes
from ..checkpoints import Checkpoints, Retention
from ..devices import Precision, make_accelerator
from ..ema import Ema
from ..optimisers import ModuleWithOptimiser, learning_rate_at
from ..run_log import RunLog, check_trackers, describe_run, publishable_config, start_trackers
from ..step import DivergedError, name_non_finite
from .batches import Batch
from .config import DiffusionConfig
from .latents import Latents
from .networks import make_network
from .objective import latte_losses
from .samples import draw_samples

log = logging.getLogger(__name__)


class DiffusionRun:
    """The network, optimiser, moving average and step of a run: the content of a checkpoint."""

    def __init__(self, config: DiffusionConfig, latents: Latents):
        check_trackers(config.run.trackers)
        set_seed(config.run.seed)
        self.config, self.latents = config, latents
        self.step, self.skipped, self.skipped_in_a_row = 0, 0, 0
        self.facts: dict[str, Any] = {}
        self.resumed_facts: dict[str, Any] = {}
        self.folder = Path(config.run.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.accelerator = make_accelerator(config.run)
        self.device = self.accelerator.device
        self.precision = Precision(config.run.precision, self.device)
        self.network: Latte = make_network(config, latents).to(self.device)
        self.trained = ModuleWithOptimiser(self.network, config.optimiser)
        self.ema = Ema(self.network, config.ema)
        self.checkpoints = Checkpoints(self.folder / "checkpoints", Retention(config.run.keep))
        track = self.accelerator.log if config.run.trackers else None
        self.run_log = RunLog(self.folder / "log.jsonl", self.is_main, track)

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files."""
        return self.accelerator.is_main_process

    def any_process(self, flag: bool) -> bool:
        """Whether the flag is true in any process; the same result in all of them."""
        if self.accelerator.num_processes == 1:
            return flag
        return bool(self.accelerator.gather(torch.tensor([flag], device=self.device)).any())

    def log_start(self) -> None:
        """Log the start event, and what changed since the checkpoint that is resumed."""
        self.facts = {
            **describe_run(self.config, self.network),
            "data": self.latents.digest,
            "latent_scale": self.latents.scale,
            "samples": len(self.latents.means),
            "processes": self.accelerator.num_processes,
        }
        if self.config.run.trackers:
            start_trackers(self.accelerator, self.folder.name, self.facts["config"])
        changed = list_changes(self.resumed_facts, self.facts) if self.resumed_facts else {}
        if self.is_main:
            warn_of_changes(changed)
        self.run_log.write("start", step=self.step, **self.facts, changed=changed)

    def train_step(self, batch: Batch) -> dict[str, float]:
        """Run the next step on this process's part of the batch: the values to log, by name.

        A skipped step has no losses. Raises DivergedError where `run.skip_limit` steps in a row
        were not finite.
        """
        rate = learning_rate_at(self.config.optimiser, self.step, self.config.steps)
        for group in self.trained.optimiser.param_groups:
            group["lr"] = rate
        values = self.add_gradients(batch.to(self.device))
        norm = self.step_optimiser()
        if math.isfinite(norm):
            self.ema.update(self.network)
            self.skipped_in_a_row = 0
        else:
            self.record_skip(values)
            values = {}
        self.step += 1
        return {**values, "gradient": norm, "rate": rate} if values else {"rate": rate}

    def add_gradients(self, batch: Batch) -> dict[str, float]:
        """Forward and backward passes of a batch, in `run.accumulate` pieces: the losses."""
        pieces = batch.split(min(self.config.run.accumulate, len(batch.start)))
        values: dict[str, float] = {}
        for number, piece in enumerate(pieces):
            share = len(piece.start) / len(batch.start)
            is_last = number == len(pieces) - 1  # the sum of all pieces is exchanged
            with self.trained.gradients.exchanged() if is_last else nullcontext():
                with self.precision.autocast():
                    losses = latte_losses(self.network, piece)
                total = torch.stack(list(losses.values())).sum()
                self.precision.scaler.scale(total * share).backward()
            for name, loss in losses.items():
                values[name] = values.get(name, 0.0) + share * float(loss.detach())
        return values

    def step_optimiser(self) -> float:
        """Step the optimiser if the gradient is finite, and clear it: its norm is returned."""
        config, scaler = self.config, self.precision.scaler
        scaler.unscale_(self.trained.optimiser)
        limit = config.optimiser.clip if self.step >= config.training.clip_from else 0.0
        norm = float(nn.utils.clip_grad_norm_(self.network.parameters(), limit or math.inf))
        if math.isfinite(norm):
            scaler.step(self.trained.optimiser)
        self.trained.optimiser.zero_grad()
        scaler.update()
        return norm

    def record_skip(self, values: dict[str, float]) -> None:
        """Log a step that changed no weight. Raises DivergedError after too many in a row."""
        self.skipped += 1
        self.skipped_in_a_row += 1
        self.run_log.write("skip", step=self.step, terms=name_non_finite(values))
        if self.skipped_in_a_row >= self.config.run.skip_limit:
            raise DivergedError(
                f"{self.skipped_in_a_row} steps in a row were not finite (the last: {values}); "
                "the last checkpoint is unchanged: resume with a smaller "
                "optimiser.learning_rate, or with run.precision=no"
            )

    def evaluate(self) -> None:
        """Write the averaged weights as `ema.safetensors`, and draw samples of them."""
        if not self.is_main:
            return
        with self.ema.swapped_in(self.network):
            self.export_weights()
            if self.config.samples.vae:
                sheet = self.folder / "sheets" / f"step-{self.step:06d}.png"
                draw_samples(self.network, self.config.samples, sheet)
                self.run_log.write("evaluation", step=self.step, sheet=f"sheets/{sheet.name}")

    def export_weights(self) -> None:
        """Write the current weights; a failed write gives a warning."""
        vae = self.latents.vae
        metadata = {
            "step": str(self.step),
            "classes": json.dumps(self.latents.classes),
            "vae_family": vae["family"],
            "vae_sha256": vae["checkpoint_sha256"],
        }
        try:
            diffusion.save(self.network, self.folder / "ema.safetensors", torch.float32, **metadata)
        except odvae_core.CheckpointError as error:
            log.warning("%s; the run continues and the next evaluation tries again", error)

    def save(self) -> bool:
        """Write a checkpoint, for which all processes wait; whether it is on the disk."""
        return self.any_process(self.is_main and self.write_checkpoint())

    def write_checkpoint(self) -> bool:
        """Write a checkpoint in this process; whether it is on the disk."""
        facts = {**self.facts, "skipped": self.skipped}
        parts = {name: part.state_dict() for name, part in self.list_parts().items()}
        if self.checkpoints.save(self.step, parts, facts) is None:
            return False
        self.run_log.write("checkpoint", step=self.step)
        return True

    def list_parts(self) -> dict[str, Any]:
        """The objects whose state dicts make a checkpoint, by the name of their part."""
        parts = {"network": self.network, "optimiser": self.trained.optimiser, "ema": self.ema}
        if self.precision.scaler.is_enabled():
            parts["scaler"] = self.precision.scaler
        return parts

    def resume(self) -> None:
        """Continue from process 0's newest complete checkpoint, if there is one.

        Raises CheckpointError where it is of another network or missing in a process, and
        ConfigError where the configuration makes another run.
        """
        checkpoint = agree_on_checkpoint(self.checkpoints, self.is_main)
        if checkpoint is None:
            return
        facts = checkpoint.facts
        if "config" in facts:
            check_same_run(facts["config"], publishable_config(self.config))
        parts = self.list_parts()
        if "scaler" not in checkpoint.parts:  # the run was not in fp16 before
            parts.pop("scaler", None)
        for name, part in parts.items():
            load_part(checkpoint, name, part)
        self.step, self.skipped = checkpoint.step, facts["skipped"]
        self.resumed_facts = facts
