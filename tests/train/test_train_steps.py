"""Steps: the learning rate's shape, and what is not finite."""

import math

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from train.config import OptimiserConfig
from train.steps import DivergedError, Stepper, learning_rate

SETTINGS = OptimiserConfig(learning_rate=1.0, warm_up=10, final=0.1, skip_limit=3)


class Blowing(nn.Module):
    """An objective whose loss is its weight times the batch's mean."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, video, generator):
        return {"total": self.weight * video.mean()}


def make_stepper():
    objective = Blowing()
    optimiser = torch.optim.SGD(objective.parameters(), 1.0)
    return Stepper(Accelerator(cpu=True), objective, optimiser, SETTINGS)


def test_the_rate_rises_over_the_warm_up_and_falls_along_a_cosine():
    rates = [learning_rate(SETTINGS, step, 110) for step in range(111)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == pytest.approx(1.0)
    assert rates[60] == pytest.approx(0.55)
    assert rates[110] == pytest.approx(0.1)


def test_a_finite_step_moves_the_weight_by_the_clipped_gradient():
    stepper = make_stepper()
    values = stepper.take(torch.full((2,), 5.0), torch.Generator(), rate=0.5)
    assert values["total"] == 5.0
    assert values["gradient"] == 5.0
    assert values["skipped"] == 0
    assert stepper.objective.weight.item() == pytest.approx(1 - 0.5, abs=1e-5)


def test_a_step_that_is_not_finite_moves_nothing_and_is_counted():
    stepper = make_stepper()
    values = stepper.take(torch.tensor([math.nan]), torch.Generator(), rate=0.5)
    assert values["skipped"] == 1
    assert stepper.objective.weight.item() == 1.0


def test_too_many_in_a_row_end_the_run():
    stepper = make_stepper()
    bad, good = torch.tensor([math.inf]), torch.tensor([0.0])
    for video in (bad, bad, good, bad, bad):
        stepper.take(video, torch.Generator(), rate=0.5)
    with pytest.raises(DivergedError, match="3 steps in a row were not finite"):
        stepper.take(bad, torch.Generator(), rate=0.5)
