"""odvae_core/layers/group_causal.py"""

import pytest
import torch
import torch.nn.functional as F

from odvae_core.layers.group_causal import GroupCausalConv3d
from tests.contract import assert_cutting_changes_nothing, random_clip


@pytest.mark.parametrize(("group", "frames"), [(4, 9), (4, 1), (2, 5), (1, 4)])
@pytest.mark.parametrize("kernel", [1, 3])
def test_a_group_convolution_gives_the_same_however_the_clip_is_cut(group, frames, kernel):
    layer = GroupCausalConv3d(4, 6, kernel, group).double()
    assert_cutting_changes_nothing(layer, random_clip(4, frames))


@pytest.mark.parametrize("group", [4, 2])
def test_one_batch_equals_the_groups_one_by_one(group):
    layer, clip = GroupCausalConv3d(4, 6, group=group).double(), random_clip(4, 9)
    zeros, first = torch.zeros_like(clip[:, :, :1]), clip[:, :, :1]
    windows = [torch.cat([first, first, zeros], dim=2)]
    for start in range(0, 8, group):
        windows.append(torch.cat([clip[:, :, start : start + group + 1], zeros], dim=2))
    outputs = [F.conv3d(F.pad(w, (1, 1, 1, 1)), layer.weight, layer.bias) for w in windows]
    torch.testing.assert_close(layer(clip), torch.cat(outputs, dim=2))


def test_a_frame_sees_its_group_and_nothing_later():
    layer, clip = GroupCausalConv3d(4, 6).double(), random_clip(4, 9)
    for frame, first, last in ((0, 0, 1), (1, 1, 2), (4, 3, 5), (5, 5, 6)):
        other = clip.clone()
        other[:, :, frame] += 1
        changed = (layer(other) - layer(clip)).abs().amax(dim=(0, 1, 3, 4)) > 1e-9
        assert changed.nonzero().flatten().tolist() == list(range(first, last + 1))


def test_a_gradient_reaches_every_frame():
    clip = random_clip(4, 9).requires_grad_()
    GroupCausalConv3d(4, 6).double()(clip).square().sum().backward()
    assert (clip.grad.abs().amax(dim=(0, 1, 3, 4)) > 0).all()


def test_a_clip_with_an_unfinished_group_is_no_whole_clip():
    with pytest.raises(AssertionError):
        GroupCausalConv3d(4, 6).double()(random_clip(4, 7))
