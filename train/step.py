"""One step: the losses of a batch, their gradients, and the steps of both optimisers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from odvae_core.metrics.perceptual import Lpips, load_lpips
from odvae_core.posterior import Posterior
from odvae_core.vae import VideoVAE

from .config import Config, LossConfig
from .devices import Precision
from .image_space import ImageSpace
from .keyed_random import KeyedRandom
from .losses import (
    DiscriminatorOutput,
    adaptive_weight_of_layer,
    divergence,
    judge_apart,
    judge_reconstruction,
    reconstruction_errors,
    run_discriminator,
    values_of_frame,
    weigh_by_variance,
)
from .objective import Objective, VaeOutput
from .optimisers import ModuleWithOptimiser


class DivergedError(RuntimeError):
    """Too many steps in a row had losses or gradients that were not finite."""

    def __init__(self, steps: int, values: Mapping[str, float]):
        super().__init__(
            f"{steps} steps in a row were not finite (the last: {values}); the last checkpoint is "
            "unchanged: resume with a smaller optimiser.learning_rate, or with run.precision=no"
        )


@dataclass(frozen=True)
class LossNetworks:
    """The frozen networks that losses use."""

    perceptual: Lpips | None = None
    image_space: ImageSpace | None = None


def load_loss_networks(config: Config, vae: VideoVAE, device: torch.device) -> LossNetworks:
    """Load the frozen networks of a configuration. Raises where a file doesn't fit."""
    loss, space = config.loss, config.image_space
    perceptual = None
    if loss.perceptual != "none":
        perceptual = load_lpips(loss.perceptual, Path(loss.perceptual_file)).to(device)
    return LossNetworks(perceptual, ImageSpace(space, vae, device) if space.vae else None)


class StepRunner:
    """Runs training steps; a step that is not finite changes no weight."""

    def __init__(
        self,
        objective: ModuleWithOptimiser,
        discriminator: ModuleWithOptimiser | None,
        loss_networks: LossNetworks,
        precision: Precision,
        config: Config,
    ):
        self.objective, self.discriminator = objective, discriminator
        self.loss_networks, self.precision, self.config = loss_networks, precision, config
        self.skipped_in_a_row = 0

    def run_step(
        self, video: Tensor, noise: Tensor, weights: LossConfig, rng: KeyedRandom
    ) -> dict[str, float]:
        """Run one step on this process's part of a batch: the values to log, by name.

        `video` [B, 3, T, H, W], `noise` like its latent. Errors are logged per video value and the
        divergence per latent value, both without their weights; "skipped" is 0 or 1. Raises
        DivergedError where `run.skip_limit` steps in a row were not finite.
        """
        trained = [self.objective]
        if self.is_adversarial(weights) and self.config.discriminator.mode == "joint":
            trained.append(self.discriminator)
        return self.accumulate(
            trained, video, noise, partial(self.add_gradients, weights=weights, rng=rng)
        )

    def run_discriminator_step(self, video: Tensor, noise: Tensor) -> dict[str, float]:
        """Run one step that trains the discriminator alone, as `run_step` trains the VAE."""
        return self.accumulate([self.discriminator], video, noise, self.add_discriminator_gradients)

    def is_adversarial(self, weights: LossConfig) -> bool:
        """Whether a step with these weights uses the discriminator."""
        return bool(weights.adversarial) and self.discriminator is not None

    def accumulate(
        self,
        trained: list[ModuleWithOptimiser],
        video: Tensor,
        noise: Tensor,
        add_gradients: Callable[[Tensor, Tensor, float], dict[str, Tensor]],
    ) -> dict[str, float]:
        """Add the gradients of all pieces of a batch and step the optimisers: the values to log."""
        count = min(self.config.run.accumulate, len(video))
        values: dict[str, float] = {}
        for i, piece in enumerate(zip(video.chunk(count), noise.chunk(count), strict=True)):
            share = len(piece[0]) / len(video)
            with ExitStack() as stack:
                if i == count - 1:  # the sum of all pieces is exchanged
                    for one in trained:
                        stack.enter_context(one.gradients.exchanged())
                for name, value in add_gradients(*piece, share).items():
                    values[name] = values.get(name, 0.0) + share * float(value)
        return self.step_optimisers(trained, values)

    def add_gradients(
        self, video: Tensor, noise: Tensor, share: float, weights: LossConfig, rng: KeyedRandom
    ) -> dict[str, Tensor]:
        """Forward and backward pass of one piece; its gradients are multiplied by `share`.

        The losses have a graph of their own, from a leaf with the reconstruction's values. Each
        loss is differentiated with respect to that leaf, and the sum of the gradients goes through
        the VAE in one backward pass.
        """
        output, target = self.reconstruct(video, noise)
        leaf = output.reconstruction.detach().requires_grad_()
        error, values = self.reconstruction_error(leaf, target, weights)
        size, logvar = values_of_frame(video), output.variances["video"]
        (gradient,) = torch.autograd.grad(weigh_by_variance(error, logvar.detach(), size), leaf)
        if self.is_adversarial(weights):
            adversarial = self.run_discriminator(leaf, target)
            weight = weights.adversarial * self.adaptive_weight(output, gradient, adversarial)
            if adversarial.discriminator_loss is not None:
                self.add_scaled_gradients(adversarial.discriminator_loss * share)
            gradient = gradient + weight * adversarial.gradient
            values |= {**adversarial.values, "adaptive_weight": weight}
        rest = weigh_by_variance(error.detach(), logvar, size)
        for name, (loss, value) in self.latent_losses(output, video, weights, rng).items():
            rest, values[name] = rest + loss, value
        self.add_scaled_gradients(((output.reconstruction * gradient).sum() + rest) * share)
        return {"total": rest.detach() / size, **values}

    def add_scaled_gradients(self, loss: Tensor) -> None:
        """Add a loss's gradients to those of the weights, multiplied by the scale of fp16."""
        self.precision.scaler.scale(loss).backward()

    def add_discriminator_gradients(
        self, video: Tensor, noise: Tensor, share: float
    ) -> dict[str, Tensor]:
        """Forward pass of a piece, and backward pass of the discriminator's own loss."""
        with torch.no_grad():
            output, target = self.reconstruct(video, noise)
        loss, values = judge_apart(
            self.discriminator.module, output.reconstruction, target, self.config.discriminator
        )
        self.add_scaled_gradients(loss * share)
        return values

    def reconstruct(self, video: Tensor, noise: Tensor) -> tuple[VaeOutput, Tensor]:
        """The VAE's forward pass, and the clips that its reconstructions are compared with."""
        space = self.loss_networks.image_space
        image_latents = space.encode(video, noise) if space else None
        with self.precision.autocast():
            output: VaeOutput = self.objective.module(video, noise, image_latents)
        return output, video if image_latents is None else torch.cat([video, video])

    def run_discriminator(self, reconstruction: Tensor, video: Tensor) -> DiscriminatorOutput:
        """The discriminator's pass in a step that trains the VAE."""
        config, module = self.config.discriminator, self.discriminator.module
        if config.mode == "joint":
            return run_discriminator(module, reconstruction, video, config)
        return judge_reconstruction(module, reconstruction)

    def reconstruction_error(
        self, reconstruction: Tensor, video: Tensor, weights: LossConfig
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum of the errors, and each error per value without its weight."""
        distances = None
        if self.loss_networks.perceptual is not None and weights.perceptual_weight:
            with self.precision.autocast():
                distances = self.loss_networks.perceptual(reconstruction, video)
        errors = reconstruction_errors(reconstruction, video, distances, weights)
        size = values_of_frame(video)
        total = torch.stack([weight * error for weight, error in errors.values()]).sum()
        return total, {name: error.detach() / size for name, (_, error) in errors.items()}

    def adaptive_weight(
        self, output: VaeOutput, gradient: Tensor, adversarial: DiscriminatorOutput
    ) -> Tensor:
        """The adaptive weight of this piece."""
        objective: Objective = self.objective.module  # pyright: ignore
        weights = objective.last_weights()
        return adaptive_weight_of_layer(
            output.reconstruction, weights, gradient, adversarial.gradient
        )

    def latent_losses(
        self, output: VaeOutput, video: Tensor, weights: LossConfig, rng: KeyedRandom
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """The losses of the latent, by name: with its weight, and per value without it."""
        kl = divergence(Posterior(output.mean, output.logvar))
        losses = {"kl": (weights.kl * kl, kl.detach() / output.mean[0].numel())}
        space = self.loss_networks.image_space
        if space is not None and space.config.decode:
            with self.precision.autocast():
                error = space.error(output.latent, video, rng)
            size = values_of_frame(video)
            weighted = weigh_by_variance(error, output.variances["image"], size)
            losses["image"] = space.config.decode * weighted, error.detach() / size
        return losses

    def step_optimisers(
        self, trained: list[ModuleWithOptimiser], values: dict[str, float]
    ) -> dict[str, float]:
        """Step the optimisers if all gradients are finite, and clear the gradients."""
        scaler = self.precision.scaler
        norms = [self.clip_gradient(one) for one in trained]
        finite = all(math.isfinite(norm) for norm in norms)
        for one in trained:
            if finite:
                scaler.step(one.optimiser)
            one.optimiser.zero_grad()
        scaler.update()  # once for all optimisers: they share the scale
        self.skipped_in_a_row = 0 if finite else self.skipped_in_a_row + 1
        if self.skipped_in_a_row >= self.config.run.skip_limit:
            raise DivergedError(self.skipped_in_a_row, values)
        name = "gradient" if trained[0] is self.objective else "discriminator_gradient"
        return {**values, name: norms[0], "skipped": int(not finite)}

    def clip_gradient(self, one: ModuleWithOptimiser) -> float:
        """Remove the scale of a module's gradient and clip it; its norm before that is returned."""
        self.precision.scaler.unscale_(one.optimiser)
        limit = one.settings.clip or math.inf
        return float(nn.utils.clip_grad_norm_(one.module.parameters(), limit))


def name_non_finite(values: dict[str, float]) -> list[str]:
    """The names of the values that are not finite."""
    return [name for name, value in values.items() if not math.isfinite(value)]
