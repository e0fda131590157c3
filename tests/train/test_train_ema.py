"""The moving average of the weights."""

import pytest
import torch
from torch import nn

from train.config import EmaConfig
from train.ema import Ema


def make_model(value=0.0):
    model = nn.Linear(2, 1, bias=False)
    nn.init.constant_(model.weight, value)
    return model


def test_the_average_follows_its_closed_form():
    model = make_model(1.0)
    ema = Ema(model, EmaConfig(decay=0.9))
    nn.init.constant_(model.weight, 5.0)
    for _ in range(7):
        ema.update(model)
    expected = torch.full((1, 2), 5 - 4 * 0.9**7)
    torch.testing.assert_close(ema.shadow["weight"], expected)


def test_with_a_warm_up_the_first_updates_have_more_weight():
    model = make_model(0.0)
    ema = Ema(model, EmaConfig(decay=0.3, warm_up=True))
    expected = 0.0
    for update in range(12):
        nn.init.constant_(model.weight, float(update + 1))
        ema.update(model)
        decay = min(0.3, (1 + update) / (10 + update))
        expected = decay * expected + (1 - decay) * (update + 1)
    torch.testing.assert_close(ema.shadow["weight"], torch.full((1, 2), expected))


def test_weights_are_restored_after_a_swap_even_when_it_fails():
    model = make_model(1.0)
    ema = Ema(model, EmaConfig(decay=0.5))
    nn.init.constant_(model.weight, 5.0)

    def fail_inside():
        with ema.swapped_in(model):
            assert torch.equal(model.weight, torch.ones(1, 2))
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail_inside()
    assert torch.equal(model.weight, torch.full((1, 2), 5.0))


def test_a_loaded_average_continues_like_the_saved_one():
    model, other = make_model(2.0), make_model(0.0)
    ema, loaded = Ema(model, EmaConfig()), Ema(other, EmaConfig())
    ema.update(model)
    loaded.load_state_dict(ema.state_dict())
    assert loaded.updates == 1
    assert torch.equal(loaded.shadow["weight"], ema.shadow["weight"])
