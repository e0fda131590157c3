"""The optimiser: balanced kernels, and Adam for the rest."""

import pytest
import torch
from torch import nn

from train.optimisers import Muon, is_matrix, orthogonalise


@pytest.mark.parametrize("shape", [(16, 40), (40, 16), (24, 24)])
def test_singular_values_come_near_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 1e-3
    values = torch.linalg.svdvals(orthogonalise(matrix))
    assert values.min() > 0.5
    assert values.max() < 1.3


def test_the_gram_form_equals_the_iteration_itself():
    matrix = torch.randn(12, 30, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rows = matrix / matrix.norm()
    for _ in range(5):
        gram = rows @ rows.T
        rows = 3.4445 * rows - 4.7750 * gram @ rows + 2.0315 * gram @ gram @ rows
    torch.testing.assert_close(orthogonalise(matrix), rows)


def test_a_zero_gradient_moves_nothing():
    weight = nn.Parameter(torch.ones(16, 16))
    weight.grad = torch.zeros_like(weight)
    Muon([weight], lr=0.1, betas=(0.9, 0.99)).step()
    assert torch.equal(weight.detach(), torch.ones(16, 16))


def test_only_kernels_with_rows_and_columns_are_matrices():
    assert is_matrix(torch.zeros(16, 3, 3, 3))
    assert not is_matrix(torch.zeros(3, 16, 3, 3))
    assert not is_matrix(torch.zeros(16, 4, 1, 1))
    assert not is_matrix(torch.zeros(16))


def test_other_weights_follow_adam():
    own, reference = (nn.Parameter(torch.linspace(-1, 1, 5)) for _ in range(2))
    muon = Muon([own], lr=0.01, betas=(0.9, 0.99))
    adam = torch.optim.Adam([reference], lr=0.01, betas=(0.9, 0.99))
    for step in range(5):
        for weight, optimiser in ((own, muon), (reference, adam)):
            weight.grad = torch.cos(weight.detach() * (step + 1))
            optimiser.step()
    torch.testing.assert_close(own, reference)


def test_a_step_of_a_kernel_has_the_size_of_one_of_adam():
    weight = nn.Parameter(torch.zeros(32, 64))
    weight.grad = torch.randn(32, 64, generator=torch.Generator().manual_seed(0))
    Muon([weight], lr=1.0, betas=(0.9, 0.99)).step()
    assert 0.1 < weight.detach().square().mean().sqrt() < 0.4
