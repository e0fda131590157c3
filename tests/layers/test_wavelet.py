"""odvae_core/layers/wavelet.py"""

import pytest
import torch

from odvae_core.layers.norm import ChannelNorm
from odvae_core.layers.wavelet import HaarDown2x, HaarUp2x
from tests.contract import assert_cutting_changes_nothing, random_clip


@pytest.mark.parametrize("time", [False, True])
@pytest.mark.parametrize("frames", [1, 6, 7])
def test_a_transform_gives_the_same_however_the_clip_is_cut(time, frames):
    bands = 8 if time else 4
    assert_cutting_changes_nothing(HaarDown2x(time), random_clip(3, frames))
    assert_cutting_changes_nothing(HaarUp2x(time), random_clip(2 * bands, frames))


def test_a_channel_norm_gives_the_same_however_the_clip_is_cut():
    assert_cutting_changes_nothing(ChannelNorm(4).double(), random_clip(4, 5))


@pytest.mark.parametrize(("time", "factor"), [(False, 1.0), (True, 8 * 0.3536**2)])
def test_there_and_back_gives_the_clip_times_a_constant_near_one(time, factor):
    clip = random_clip(3, 9)
    torch.testing.assert_close(HaarUp2x(time)(HaarDown2x(time)(clip)), factor * clip)


@pytest.mark.parametrize(
    ("axis", "time", "band"),
    [(2, True, 4), (3, True, 2), (4, True, 1), (3, False, 1), (4, False, 2)],
)
def test_a_change_along_one_axis_is_in_its_own_band(axis, time, band):
    shape = [1, 1, 5, 4, 4]
    sign = torch.ones(shape[axis], dtype=torch.float64)
    sign[axis == 2 :: 2] = -1  # in time pairs begin at the second frame
    view = [1] * 5
    view[axis] = shape[axis]
    bands = HaarDown2x(time)(sign.view(view).expand(shape))[:, :, 1:]
    energy = bands.square().sum(dim=(0, 2, 3, 4))
    assert energy[band] > 0
    assert energy.sum() == energy[band]


def test_an_odd_last_row_and_column_are_dropped():
    clip = random_clip(3, 3, 7, 9)
    torch.testing.assert_close(HaarDown2x(True)(clip), HaarDown2x(True)(clip[..., :6, :8]))
