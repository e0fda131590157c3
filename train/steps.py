"""One step: the losses of a batch, their gradients, and both optimisers' moves, or none."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from odvae_core.metrics.perceptual import Lpips
from odvae_core.posterior import Posterior

from .adversary import Verdict, balance, judge
from .config import Config, LossConfig, OptimiserConfig
from .dice import Dice
from .image_space import ImageSpace
from .losses import divergence, reconstruction_errors, values_of_frame, weigh_by_variance
from .objective import Coded, Objective


class DivergedError(RuntimeError):
    """Training gave non-finite losses or gradients too often in a row."""


@dataclass
class Player:
    """A module that learns, as accelerate wrapped it, its optimiser and that one's settings."""

    module: nn.Module
    optimiser: torch.optim.Optimizer
    settings: OptimiserConfig


@dataclass(frozen=True)
class Judges:
    """What is frozen and says how good a reconstruction or a latent is."""

    perceptual: Lpips | None = None
    image_space: ImageSpace | None = None


class Stepper:
    """Takes steps, and skips those that are not finite."""

    def __init__(
        self,
        accelerator: Accelerator,
        objective: Player,
        discriminator: Player | None,
        judges: Judges,
        config: Config,
    ):
        self.accelerator, self.judges, self.config = accelerator, judges, config
        self.objective, self.discriminator = objective, discriminator
        self.skipped_in_a_row = 0

    def take(
        self, video: Tensor, noise: Tensor, weights: LossConfig, dice: Dice
    ) -> dict[str, float]:
        """Step once on this process's share of a batch: what is to be logged, by name.

        `video` [B, 3, T, H, W], `noise` like its latent. Errors are logged per video value and the
        divergence per latent value, both without their weights; "skipped" is 0 or 1. Raises
        DivergedError where `run.skip_limit` steps in a row were not finite.
        """
        players = [self.objective]
        if weights.adversarial and self.discriminator is not None:
            players.append(self.discriminator)
        count = min(self.config.run.accumulate, len(video))
        values: dict[str, float] = {}
        for i, piece in enumerate(zip(video.chunk(count), noise.chunk(count), strict=True)):
            share = len(piece[0]) / len(video)
            with ExitStack() as stack:
                if i < count - 1:  # gradients meet those of other processes with the last piece
                    for player in players:
                        stack.enter_context(self.accelerator.no_sync(player.module))
                for name, value in self.add_gradients(*piece, weights, dice, share).items():
                    values[name] = values.get(name, 0.0) + share * float(value)
        return self.move(players, values)

    def add_gradients(
        self, video: Tensor, noise: Tensor, weights: LossConfig, dice: Dice, share: float
    ) -> dict[str, Tensor]:
        """Run one piece forth and back; its gradients count for `share`.

        The graph of the losses ends at the reconstruction: each loss is taken back to it once, and
        the sum of these pulls goes back through the VAE.
        """
        space = self.judges.image_space
        others = space.encode(video, noise) if space else None
        coded: Coded = self.objective.module(video, noise, others)
        target = video if others is None else torch.cat([video, video])
        leaf = coded.reconstruction.detach().requires_grad_()
        error, values = self.rate(leaf, target, weights)
        size, variance = values_of_frame(video), coded.variances["video"]
        (pull,) = torch.autograd.grad(weigh_by_variance(error, variance.detach(), size), leaf)
        if weights.adversarial and self.discriminator is not None:
            verdict = judge(self.discriminator.module, leaf, target, self.config.discriminator)
            strength = weights.adversarial * self.balance(coded, pull, verdict)
            self.accelerator.backward(verdict.loss * share)
            pull = pull + strength * verdict.pull
            values |= describe(verdict, strength)
        rest = weigh_by_variance(error.detach(), variance, size)
        for name, (loss, value) in self.rate_latent(coded, video, weights, dice).items():
            rest, values[name] = rest + loss, value
        self.accelerator.backward(((coded.reconstruction * pull).sum() + rest) * share)
        return {"total": rest.detach() / size, **values}

    def rate(
        self, reconstruction: Tensor, video: Tensor, weights: LossConfig
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted error of a reconstruction, and the bare ones per value."""
        distances = None
        if self.judges.perceptual is not None and weights.perceptual_weight:
            with self.accelerator.autocast():
                distances = self.judges.perceptual(reconstruction, video)
        errors = reconstruction_errors(reconstruction, video, distances, weights)
        size = values_of_frame(video)
        total = torch.stack([weight * error for weight, error in errors.values()]).sum()
        return total, {name: error.detach() / size for name, (_, error) in errors.items()}

    def balance(self, coded: Coded, pull: Tensor, verdict: Verdict) -> Tensor:
        """The adaptive weight of this piece."""
        bare: Objective = self.accelerator.unwrap_model(self.objective.module)
        last = bare.last_weights()
        return balance(self.accelerator, coded.reconstruction, last, pull, verdict.pull)

    def rate_latent(
        self, coded: Coded, video: Tensor, weights: LossConfig, dice: Dice
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """The losses of the latent, by name: weighted, and bare per value."""
        kl = divergence(Posterior(coded.mean, coded.logvar))
        losses = {"kl": (weights.kl * kl, kl.detach() / coded.mean[0].numel())}
        space = self.judges.image_space
        if space is not None and space.config.decode:
            with self.accelerator.autocast():
                error = space.error(coded.latent, video, dice)
            size = values_of_frame(video)
            weighted = weigh_by_variance(error, coded.variances["image"], size)
            losses["image"] = space.config.decode * weighted, error.detach() / size
        return losses

    def move(self, players: list[Player], values: dict[str, float]) -> dict[str, float]:
        """Let the optimisers step where all is finite, forget the gradients, keep the tally."""
        norms = [self.clip(player) for player in players]
        finite = all(math.isfinite(norm) for norm in norms)
        for player in players:
            if finite or self.accelerator.scaler is not None:  # a scaler skips by itself
                player.optimiser.step()
            player.optimiser.zero_grad()
        self.skipped_in_a_row = 0 if finite else self.skipped_in_a_row + 1
        if self.skipped_in_a_row >= self.config.run.skip_limit:
            raise DivergedError(
                f"{self.skipped_in_a_row} steps in a row were not finite (the last: {values}); "
                "the last checkpoint is in place: resume with a smaller optimiser.learning_rate, "
                "or with run.precision=no"
            )
        return {**values, "gradient": norms[0], "skipped": int(not finite)}

    def clip(self, player: Player) -> float:
        """The norm of a player's gradients before they are clipped."""
        limit = player.settings.clip or math.inf
        return float(self.accelerator.clip_grad_norm_(player.module.parameters(), limit))


def describe(verdict: Verdict, strength: Tensor) -> dict[str, Tensor]:
    """What the log has of a verdict; `adaptive_weight` is with its factor."""
    return {
        "adversarial": verdict.fooling,
        "adaptive_weight": strength,
        "discriminator": verdict.loss.detach(),
        "logits_real": verdict.logits_real,
        "logits_fake": verdict.logits_fake,
    }


def name_culprits(values: dict[str, float]) -> list[str]:
    """The terms of a step that are not finite; "gradient" alone where each of them is."""
    return [name for name, value in values.items() if not math.isfinite(value)]
