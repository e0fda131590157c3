"""Trained modules with their optimisers, and the learning rate of a step.

Muon orthogonalises the momentum of kernels, so that all directions learn at similar speed:
K. Jordan et al., 2024 (the iteration and its coefficients); J. Liu et al., arXiv 2502.16982 (the
scale, with which matrices share Adam's learning rate). A kernel is a matrix [O, I * k * ...].
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from .config import OptimiserConfig
from .gradients import GradientMean, copy_from_first_process

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
SCALE = 0.2
SMALLEST = 8
"""Kernels with at most this many rows or columns are trained with Adam."""


@dataclass
class ModuleWithOptimiser:
    """A module that is trained, with its optimiser and the exchange of its gradients.

    Its weights become those of process 0.
    """

    module: nn.Module
    settings: OptimiserConfig
    optimiser: torch.optim.Optimizer = field(init=False)
    gradients: GradientMean = field(init=False)

    def __post_init__(self):
        copy_from_first_process(self.module)
        self.optimiser = make_optimiser(self.module.parameters(), self.settings)
        self.gradients = GradientMean(self.module.parameters())

    def update_trained(self) -> None:
        """Exchange the gradients of the weights that are trained now: others were frozen."""
        self.gradients.close()
        self.gradients = GradientMean(self.module.parameters())


def make_optimiser(
    weights: Iterable[nn.Parameter], config: OptimiserConfig
) -> torch.optim.Optimizer:
    """The configuration's optimiser of these weights."""
    rate, betas, decay = config.learning_rate, config.betas, config.weight_decay
    if config.name == "muon":
        return Muon(weights, rate, betas)
    kind = torch.optim.Adam if config.name == "adam" else torch.optim.AdamW
    return kind(weights, rate, betas, config.epsilon, weight_decay=decay)


def learning_rate_at(config: OptimiserConfig, step: int, steps: int) -> float:
    """The rate of a step counted from 0: linear warm-up, then constant or a cosine to `final`."""
    if step < config.warm_up:
        return config.learning_rate * (step + 1) / config.warm_up
    if config.schedule == "constant":
        return config.learning_rate
    progress = (step - config.warm_up) / max(1, steps - config.warm_up)
    fall = (1 + math.cos(math.pi * min(1.0, progress))) / 2
    return config.learning_rate * (config.final + (1 - config.final) * fall)


def orthogonalise(matrix: Tensor) -> Tensor:
    """[M, N] with singular values near 1, computed from polynomials of the smaller Gram matrix."""
    tall = matrix.shape[0] > matrix.shape[1]
    rows = (matrix.T if tall else matrix) / matrix.norm().clamp_min(1e-12)
    gram = rows @ rows.T
    identity = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    a, b, c = COEFFICIENTS
    product = identity
    for _ in range(ITERATIONS):
        factor = a * identity + b * gram + c * gram @ gram
        product = factor @ product
        gram = factor @ gram @ factor
    near = product @ rows
    return near.T if tall else near


def is_matrix(weight: Tensor) -> bool:
    """Whether a weight is a kernel with enough rows and columns."""
    return weight.ndim > 1 and min(weight.shape[0], weight[0].numel()) > SMALLEST


class Muon(torch.optim.Optimizer):
    """Orthogonalised momentum for kernels, Adam for the rest; one learning rate for both."""

    def __init__(
        self,
        weights: Iterable[nn.Parameter],
        lr: float,
        betas: tuple[float, float],
        momentum: float = 0.95,
    ):
        weights = list(weights)
        groups = [
            {"params": [weight for weight in weights if is_matrix(weight)], "matrices": True},
            {"params": [weight for weight in weights if not is_matrix(weight)], "matrices": False},
        ]
        super().__init__(groups, {"lr": lr, "betas": betas, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Update every weight that has a gradient."""
        for group in self.param_groups:
            update = self.update_matrix if group["matrices"] else self.update_vector
            for weight in group["params"]:
                if weight.grad is not None:
                    update(weight, group)

    def update_matrix(self, weight: nn.Parameter, group: dict) -> None:
        """One step along the orthogonalised Nesterov momentum."""
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        momentum = state["momentum"].lerp_(weight.grad, 1 - group["momentum"])
        direction = weight.grad.lerp(momentum, group["momentum"]).flatten(1)
        scale = SCALE * max(direction.shape) ** 0.5
        weight.add_(orthogonalise(direction).view_as(weight), alpha=-group["lr"] * scale)

    def update_vector(self, weight: nn.Parameter, group: dict) -> None:
        """One step of Adam."""
        state = self.state[weight]
        if not state:
            state.update(
                step=torch.zeros(()), mean=torch.zeros_like(weight), square=torch.zeros_like(weight)
            )
        state["step"] += 1
        beta1, beta2 = group["betas"]
        mean = state["mean"].lerp_(weight.grad, 1 - beta1) / (1 - beta1 ** state["step"])
        square = state["square"].lerp_(weight.grad.square(), 1 - beta2) / (
            1 - beta2 ** state["step"]
        )
        weight.addcdiv_(mean, square.sqrt() + 1e-8, value=-group["lr"])
