"""odvae_core/layers/conv.py"""

import pytest
import torch

from odvae_core.layers.conv import CausalConv3d, Conv3d, FrameConv2d
from tests.contract import assert_cutting_changes_nothing, random_clip


@pytest.mark.parametrize(
    ("kernel", "stride"), [(3, 1), (3, 2), ((3, 1, 1), (2, 1, 1)), ((1, 3, 3), 1), (1, 1), (2, 2)]
)
@pytest.mark.parametrize("frames", [1, 2, 9])
def test_a_causal_convolution_gives_the_same_however_the_clip_is_cut(kernel, stride, frames):
    layer = CausalConv3d(3, 4, kernel, stride).double()
    assert_cutting_changes_nothing(layer, random_clip(3, frames))


def test_a_frame_convolution_gives_the_same_however_the_clip_is_cut():
    assert_cutting_changes_nothing(FrameConv2d(3, 4).double(), random_clip(3, 7))


def test_no_output_frame_of_a_causal_convolution_sees_a_later_frame():
    layer, clip = CausalConv3d(3, 3).double(), random_clip(3, 5)
    changed = clip.clone()
    changed[:, :, 3:] += 1
    before, after = layer(clip), layer(changed)
    torch.testing.assert_close(before[:, :, :3], after[:, :, :3], rtol=0, atol=0)
    assert not torch.equal(before[:, :, 3], after[:, :, 3])


def test_before_the_clip_a_causal_convolution_sees_copies_of_frame_0():
    layer, clip = CausalConv3d(3, 3).double(), random_clip(3, 1)
    torch.testing.assert_close(layer(clip)[:, :, 0], layer(clip.repeat(1, 1, 4, 1, 1))[:, :, 3])


def test_the_bias_of_a_causal_convolution_starts_at_zero():
    assert not CausalConv3d(3, 3).conv.bias.any()


@pytest.mark.parametrize("space", ["zeros", "replicate"])
@pytest.mark.parametrize("stride", [1, 2])
def test_the_fast_kernel_gives_pytorchs_numbers_and_gradients(space, stride):
    ours = Conv3d(4, 5, 3, stride, padding=(0, 1, 1), padding_mode=space)
    theirs = torch.nn.Conv3d(4, 5, 3, stride, padding=(0, 1, 1), padding_mode=space)
    theirs.load_state_dict(ours.state_dict())
    clip = random_clip(4, 5)[:1].float()
    torch.testing.assert_close(ours(clip), theirs(clip))
    for layer in (ours, theirs):
        layer(clip).square().sum().backward()
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad, rtol=1e-4, atol=1e-3)


def test_a_small_clip_is_convolved_without_unfolding_it():
    with torch.profiler.profile() as profile:
        Conv3d(4, 4, 3, padding=(0, 1, 1))(random_clip(4, 5)[:1].float())
    names = {event.name for event in profile.events()}
    assert "aten::mkldnn_convolution" in names
    assert "aten::slow_conv3d_forward" not in names


def test_autocast_still_convolves_in_half_precision():
    with torch.autocast("cpu", torch.bfloat16):
        assert Conv3d(4, 4, 3)(random_clip(4, 5)[:1].float()).dtype == torch.bfloat16
