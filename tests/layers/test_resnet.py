"""odvae_core/layers/resnet.py"""

import pytest
import torch

from odvae_core.layers.conv import CausalConv3d, FrameConv2d
from odvae_core.layers.norm import ClipGroupNorm, FrameGroupNorm
from odvae_core.layers.resnet import ResnetBlock
from odvae_core.layers.stream import advance
from tests.contract import assert_cutting_changes_nothing, random_clip

CONVS = {
    "2d": (FrameConv2d, FrameConv2d),
    "3d": (CausalConv3d, CausalConv3d),
    "half": (CausalConv3d, FrameConv2d),
}


def make_block(kind, norm, channels=(4, 8)):
    return ResnetBlock(
        *channels, CONVS[kind], (norm(2, channels[0]), norm(2, channels[1]))
    ).double()


@pytest.mark.parametrize("kind", CONVS)
@pytest.mark.parametrize("channels", [(4, 8), (8, 4), (4, 4)])
def test_a_block_gives_the_same_however_the_clip_is_cut(kind, channels):
    assert_cutting_changes_nothing(
        make_block(kind, FrameGroupNorm, channels), random_clip(channels[0], 7)
    )


@pytest.mark.parametrize("kind", CONVS)
def test_the_steps_of_a_block_are_the_block(kind):
    block, clip = make_block(kind, ClipGroupNorm), random_clip(4, 5)
    torch.testing.assert_close(advance(block.steps(), clip)[0], block(clip))


def test_each_step_names_the_group_norm_that_it_opens_with():
    block = make_block("3d", ClipGroupNorm)
    assert [step.norm for step in block.steps()] == [block.norm1, block.norm2]
    block = make_block("2d", FrameGroupNorm)
    assert [step.norm for step in block.steps()] == [block.norm1, block.norm2]


def test_only_a_change_of_channels_needs_a_shortcut_convolution():
    assert hasattr(make_block("3d", ClipGroupNorm), "nin_shortcut")
    assert not hasattr(make_block("3d", ClipGroupNorm, (4, 4)), "nin_shortcut")
