"""odvae_core/layers/resample.py"""

import pytest
import torch

from odvae_core.layers import resample
from tests.contract import assert_cutting_changes_nothing, random_clip

LAYERS = {
    "frame down": lambda: resample.FrameDown2x(4),
    "space down": lambda: resample.SpaceDown2x(4),
    "joint down": lambda: resample.JointDown2x(4),
    "average time down": lambda: resample.AverageTimeDown2x(),
    "mixed time down": lambda: resample.MixedTimeDown2x(4),
    "frame up": lambda: resample.FrameUp2x(4),
    "space up": lambda: resample.SpaceUp2x(4),
    "joint up": lambda: resample.JointUp2x(4),
    "joint up, nearest in space": lambda: resample.JointUp2x(4, space="nearest"),
    "linear time up": lambda: resample.LinearTimeUp2x(),
    "mixed time up": lambda: resample.MixedTimeUp2x(4),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("frames", [1, 2, 3, 9])
def test_it_gives_the_same_however_the_clip_is_cut(name, frames):
    assert_cutting_changes_nothing(LAYERS[name]().double(), random_clip(4, frames))


@pytest.mark.parametrize("name", ["joint down", "average time down", "mixed time down"])
def test_halving_time_keeps_frame_0(name):
    assert LAYERS[name]().double()(random_clip(4, 9)).shape[2] == 5


@pytest.mark.parametrize("name", ["joint up", "linear time up", "mixed time up"])
def test_doubling_time_keeps_frame_0(name):
    assert LAYERS[name]().double()(random_clip(4, 5)).shape[2] == 9


def test_doubled_time_lies_between_its_neighbours():
    clip = torch.arange(4.0).view(1, 1, 4, 1, 1)
    doubled = resample.LinearTimeUp2x()(clip).flatten()
    torch.testing.assert_close(doubled, torch.tensor([0, 1, 1.25, 1.75, 2.25, 2.75, 3]))


def test_averaging_takes_a_frame_and_the_two_before_it():
    clip = torch.arange(5.0).view(1, 1, 5, 1, 1)
    torch.testing.assert_close(
        resample.AverageTimeDown2x()(clip).flatten(), torch.tensor([0.0, 1.0, 3.0])
    )
