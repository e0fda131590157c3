"""The learning rate's shape, and which optimiser takes it."""

import pytest
import torch
from torch import nn

from train.config import OptimiserConfig
from train.optimisers import Muon, learning_rate, make_optimiser
from train.step import name_non_finite

COSINE = OptimiserConfig(learning_rate=1.0, warm_up=10, schedule="cosine", final=0.1)


def test_the_rate_rises_over_the_warm_up_and_falls_along_a_cosine():
    rates = [learning_rate(COSINE, step, 110) for step in range(111)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == pytest.approx(1.0)
    assert rates[60] == pytest.approx(0.55)
    assert rates[110] == pytest.approx(0.1)


def test_a_constant_rate_stays():
    constant = OptimiserConfig(learning_rate=0.5)
    assert {learning_rate(constant, step, 100) for step in range(100)} == {0.5}


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


def test_the_terms_that_are_not_finite_are_named():
    values = {"l1": 0.5, "kl": float("inf"), "gradient": float("nan")}
    assert name_non_finite(values) == ["kl", "gradient"]
