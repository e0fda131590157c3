"""The state of a training on latents, and what changes it: steps, evaluations and checkpoints."""

from __future__ import annotations

import json
import logging
import math
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn

import odvae_core
from odvae_core import diffusion
from odvae_core.diffusion import Latte

from ..ema import Ema
from ..optimisers import ModuleWithOptimiser, learning_rate_at
from ..run_log import describe_run
from ..saved_run import SavedRun
from ..step import DivergedError, name_non_finite
from .batches import Batch
from .config import DiffusionConfig
from .latents import Latents
from .networks import make_network
from .objective import latte_losses
from .samples import draw_samples

log = logging.getLogger(__name__)


class DiffusionRun(SavedRun):
    """The network, optimiser, moving average and step of a run: the content of a checkpoint."""

    def __init__(self, config: DiffusionConfig, latents: Latents):
        super().__init__(config)
        self.latents, self.skipped_in_a_row = latents, 0
        self.network: Latte = make_network(config, latents).to(self.device)
        self.trained = ModuleWithOptimiser(self.network, config.optimiser)
        self.ema = Ema(self.network, config.ema)

    def describe_start(self) -> dict[str, Any]:
        """The facts of the start event."""
        return {
            **describe_run(self.config, self.network),
            "data": self.latents.digest,
            "latent_scale": self.latents.scale,
            "samples": len(self.latents.means),
        }

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
            raise DivergedError(self.skipped_in_a_row, values)

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

    def list_parts(self) -> dict[str, Any]:
        """The objects whose state dicts make a checkpoint, by the name of their part."""
        return {"network": self.network, "optimiser": self.trained.optimiser, "ema": self.ema}
