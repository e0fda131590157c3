"""odvae_core/layers/separated.py"""

from functools import partial

import pytest
import torch

from odvae_core.layers.norm import RMSNorm
from odvae_core.layers.separated import (
    AtrousConvs,
    MergeKeyframes,
    SeparatedAttention,
    SeparatedBlock,
    SeparatedConv3d,
    SeparatedDown2x,
    SeparatedUp2x,
    SharedConv2d,
)
from tests.contract import assert_cutting_changes_nothing, random_clip

LAYERS = {
    "norm": lambda: RMSNorm(8),
    "convolution": lambda: SeparatedConv3d(8, 12),
    "convolution of groups of two": lambda: SeparatedConv3d(8, 12, group=2),
    "1x1 convolution": lambda: SeparatedConv3d(8, 12, 1),
    "2D convolution": lambda: SharedConv2d(8, 12),
    "attention": lambda: SeparatedAttention(8),
    "halving": lambda: SeparatedDown2x(8, time=False),
    "halving of time too": lambda: SeparatedDown2x(8, time=True),
    "doubling": lambda: SeparatedUp2x(8, time=False),
    "doubling of time too": lambda: SeparatedUp2x(8, time=True),
    "parallel convolutions": lambda: AtrousConvs(8, 4),
    "block": lambda: make_block(8, 12, SeparatedConv3d),
    "block of groups of two": lambda: make_block(8, 8, partial(SeparatedConv3d, group=2)),
    "2D block": lambda: make_block(8, 12, SharedConv2d),
}


def make_block(before, after, conv):
    return SeparatedBlock(before, after, (conv, conv), (RMSNorm(before), RMSNorm(after)))


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("frames", [1, 9])
def test_a_layer_gives_the_same_however_the_clip_is_cut(kind, frames):
    assert_cutting_changes_nothing(LAYERS[kind]().double(), random_clip(8, frames))


def test_merging_gives_the_same_however_the_clip_is_cut():
    assert_cutting_changes_nothing(MergeKeyframes(), random_clip(6, 9))


def test_the_first_frame_and_the_first_of_every_four_come_from_the_keyframes():
    key, motion = torch.zeros(1, 3, 9, 1, 1), torch.ones(1, 3, 9, 1, 1)
    merged = MergeKeyframes()(torch.cat([key, motion], dim=1))
    assert merged[0, 0, :, 0, 0].tolist() == [0, 0, 1, 1, 1, 0, 1, 1, 1]


def test_a_norm_divides_each_half_by_its_own_root_mean_square():
    normed = RMSNorm(8).double()(random_clip(8, 2) * torch.arange(1, 9).view(8, 1, 1, 1))
    for half in normed.chunk(2, dim=1):
        torch.testing.assert_close(half.square().mean(dim=1), torch.ones_like(half[:, 0]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize(("value", "normed"), [(0.0, 0.0), (1e-3, 1.0), (30_000.0, 1.0)])
def test_a_norm_of_any_input_is_finite_in_any_type(dtype, value, normed):
    clip = torch.full((1, 128, 1, 1, 1), value, dtype=dtype)
    expected = torch.full_like(clip, normed)
    torch.testing.assert_close(RMSNorm(128).to(dtype)(clip), expected, rtol=0, atol=0.01)


@pytest.mark.parametrize("kind", ["attention", "halving", "doubling"])
def test_the_halves_are_kept_apart(kind):
    layer, clip = LAYERS[kind]().double(), random_clip(8, 2)
    other = clip.clone()
    other[:, 4:] += torch.randn_like(other[:, 4:])
    key, motion = (layer(other) - layer(clip)).chunk(2, dim=1)
    assert not key.any()
    assert motion.any()


@pytest.mark.parametrize(
    "make",
    [
        lambda branches: SeparatedConv3d(4 * branches, 6 * branches, branches=branches),
        lambda branches: SeparatedAttention(4 * branches, branches),
        lambda branches: SeparatedDown2x(4 * branches, False, branches),
        lambda branches: SeparatedUp2x(4 * branches, False, branches),
        lambda branches: RMSNorm(4 * branches, branches),
    ],
)
def test_one_branch_has_the_keyframes_weights_only(make):
    names = [name for name in make(2).state_dict() if "3d" not in name and "time" not in name]
    assert list(make(1).state_dict()) == names
    assert make(1)(torch.randn(1, 4, 3, 6, 6)).shape[2] == 3
