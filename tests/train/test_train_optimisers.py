"""The learning rate of a step, the choice of the optimiser, and Muon."""

import pytest
import torch
from torch import nn

from train.config import OptimiserConfig
from train.optimisers import Muon, is_matrix, learning_rate_at, make_optimiser, orthogonalise

COSINE = OptimiserConfig(learning_rate=1.0, warm_up=10, schedule="cosine", final=0.1)


def test_the_rate_rises_over_the_warm_up_and_falls_along_a_cosine():
    rates = [learning_rate_at(COSINE, step, 110) for step in range(111)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == pytest.approx(1.0)
    assert rates[60] == pytest.approx(0.55)
    assert rates[110] == pytest.approx(0.1)


def test_a_constant_rate_stays():
    constant = OptimiserConfig(learning_rate=0.5)
    assert {learning_rate_at(constant, step, 100) for step in range(100)} == {0.5}


@pytest.mark.parametrize(
    ("name", "kind"),
    [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("muon", Muon)],
)
def test_an_optimiser_is_chosen_by_its_name(name, kind):
    settings = OptimiserConfig(name, 0.25, betas=(0.5, 0.75))
    optimiser = make_optimiser(nn.Linear(16, 16).parameters(), settings)
    assert type(optimiser) is kind
    assert {(group["lr"], group["betas"]) for group in optimiser.param_groups} == {
        (0.25, (0.5, 0.75))
    }


@pytest.mark.parametrize("shape", [(16, 40), (40, 16), (24, 24)])
def test_singular_values_are_close_to_one(shape):
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


def test_a_zero_gradient_changes_nothing():
    weight = nn.Parameter(torch.ones(16, 16))
    weight.grad = torch.zeros_like(weight)
    Muon([weight], lr=0.1, betas=(0.9, 0.99)).step()
    assert torch.equal(weight.detach(), torch.ones(16, 16))


def test_only_kernels_with_rows_and_columns_are_matrices():
    assert is_matrix(torch.zeros(16, 3, 3, 3))
    assert not is_matrix(torch.zeros(3, 16, 3, 3))
    assert not is_matrix(torch.zeros(16, 4, 1, 1))
    assert not is_matrix(torch.zeros(16))


def test_other_weights_are_updated_like_adam():
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
