"""Muon: momentum brought near an orthogonal matrix, so that no direction learns slowly.

K. Jordan et al., 2024 (the iteration and its coefficients); J. Liu et al., arXiv 2502.16982 (the
scale, which lets matrices share Adam's learning rate). A kernel is a matrix [O, I * k * ...].
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
SCALE = 0.2
SMALLEST = 8
"""Kernels with fewer rows or columns are left to Adam: there is nothing to balance in them."""


def orthogonalise(matrix: Tensor) -> Tensor:
    """Bring the singular values of [M, N] near 1, by polynomials in the smaller Gram matrix."""
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
        """Move every weight that has a gradient."""
        for group in self.param_groups:
            move = self.move_matrix if group["matrices"] else self.move_vector
            for weight in group["params"]:
                if weight.grad is not None:
                    move(weight, group)

    def move_matrix(self, weight: nn.Parameter, group: dict) -> None:
        """One step along the orthogonalised Nesterov momentum."""
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        momentum = state["momentum"].lerp_(weight.grad, 1 - group["momentum"])
        direction = weight.grad.lerp(momentum, group["momentum"]).flatten(1)
        scale = SCALE * max(direction.shape) ** 0.5
        weight.add_(orthogonalise(direction).view_as(weight), alpha=-group["lr"] * scale)

    def move_vector(self, weight: nn.Parameter, group: dict) -> None:
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
