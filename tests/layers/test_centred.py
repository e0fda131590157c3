"""odvae_core/layers/centred.py"""

import pytest
import torch

from odvae_core.layers.attention import LinearFrameAttention, SpaceTimeAttention
from odvae_core.layers.centred import ClipConv3d, ClipDown2x, ClipUp2x
from odvae_core.layers.conv import FrameConv2d
from odvae_core.layers.norm import FrameGroupNorm
from odvae_core.layers.resnet import ResnetBlock
from tests.contract import assert_cutting_changes_nothing, random_clip

ENDS = ["causal", "zeros", "replicate"]


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("space", ["zeros", "replicate"])
@pytest.mark.parametrize("frames", [1, 2, 7])
def test_a_convolution_gives_the_same_however_the_clip_is_cut(ends, space, frames):
    layer = ClipConv3d(4, 6, ends=ends, space=space).double()
    assert_cutting_changes_nothing(layer, random_clip(4, frames))


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("space", ["zeros", "replicate"])
@pytest.mark.parametrize("time", [False, True])
def test_halving_and_doubling_give_the_same_however_the_clip_is_cut(ends, space, time):
    assert_cutting_changes_nothing(ClipUp2x(4, time, ends, space).double(), random_clip(4, 5))
    assert_cutting_changes_nothing(ClipDown2x(4, time, ends, space).double(), random_clip(4, 9))


@pytest.mark.parametrize("second", [FrameConv2d, ClipConv3d])
@pytest.mark.parametrize("channels", [(4, 8), (4, 4)])
def test_a_block_that_looks_ahead_delays_its_shortcut(second, channels):
    def conv(*args):
        return ClipConv3d(*args, ends="zeros")

    norms = FrameGroupNorm(2, channels[0]), FrameGroupNorm(2, channels[1])
    convs = conv, conv if second is ClipConv3d else second
    assert_cutting_changes_nothing(ResnetBlock(*channels, convs, norms).double(), random_clip(4, 7))


@pytest.mark.parametrize("make", [SpaceTimeAttention, LinearFrameAttention])
def test_attention_gives_the_same_however_the_clip_is_cut(make):
    layer = make(8, FrameGroupNorm(2, 8)).double()
    assert_cutting_changes_nothing(layer, random_clip(8, 5))


def test_a_centred_convolution_sees_one_frame_ahead_and_a_causal_one_none():
    clip = random_clip(4, 5)
    other = clip.clone()
    other[:, :, 3] += 1
    for ends, first in (("causal", 3), ("zeros", 2), ("replicate", 2)):
        layer = ClipConv3d(4, 6, ends=ends).double()
        changed = (layer(other) - layer(clip)).abs().amax(dim=(0, 1, 3, 4)) > 1e-9
        assert changed.nonzero().min() == first


def test_what_lies_beyond_the_ends_is_zeros_or_the_outermost_frame():
    clip = random_clip(4, 1)
    beyond = {"zeros": torch.zeros_like(clip), "replicate": clip, "causal": clip}
    for ends, frame in beyond.items():
        layer = ClipConv3d(4, 6, ends=ends).double()
        frames = [frame, clip, frame] if ends != "causal" else [frame, frame, clip]
        window = torch.nn.functional.pad(torch.cat(frames, dim=2), (1, 1, 1, 1))
        expected = torch.nn.functional.conv3d(window, layer.weight, layer.bias)
        torch.testing.assert_close(layer(clip), expected)


def test_temporal_attention_joins_all_frames_of_a_position_and_no_other_position():
    layer, clip = SpaceTimeAttention(8, FrameGroupNorm(2, 8)).double(), random_clip(8, 3)
    h, shortcut = layer.attend_within_frames(clip, None, None)
    rows = [
        layer.attend_across_frames(h[..., i : i + 2, :], shortcut[..., i : i + 2, :], None)[0]
        for i in range(0, 6, 2)
    ]
    torch.testing.assert_close(torch.cat(rows, dim=-2), layer(clip))
    other = clip.clone()
    other[:, :, 2] += torch.randn_like(other[:, :, 2])
    assert ((layer(other) - layer(clip)).abs().amax(dim=(0, 1, 3, 4)) > 1e-9).all()
