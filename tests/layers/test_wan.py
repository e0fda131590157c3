"""odvae_core/layers/wan.py, and what it takes of centred.py and attention.py"""

import pytest
import torch

from odvae_core.layers.attention import FrameQkvAttention
from odvae_core.layers.centred import ClipConv3d
from odvae_core.layers.wan import MeanDown2x, RepeatUp2x, WanDown2x, WanStage, WanUp2x
from tests.contract import assert_cutting_changes_nothing, random_clip


def make_stage() -> WanStage:
    layers = [ClipConv3d(4, 4, ends="causal-zeros"), WanDown2x(4, time=True)]
    return WanStage("downsamples", layers, MeanDown2x(4, True, True), 1.3)


LAYERS = {
    "convolution": lambda: ClipConv3d(4, 6, ends="causal-zeros"),
    "convolution over time": lambda: ClipConv3d(4, 6, (3, 1, 1), ends="causal-zeros"),
    "attention": lambda: FrameQkvAttention(4),
    "up": lambda: WanUp2x(4, 2, time=False),
    "up in time": lambda: WanUp2x(4, 2, time=True),
    "down": lambda: WanDown2x(4, time=False),
    "down in time": lambda: WanDown2x(4, time=True),
    "repeat": lambda: RepeatUp2x(4, 2, time=False),
    "repeat in time": lambda: RepeatUp2x(4, 2, time=True),
    "mean of channels": lambda: MeanDown2x(2, time=False, space=False),
    "mean in space": lambda: MeanDown2x(8, time=False, space=True),
    "mean in time": lambda: MeanDown2x(8, time=True, space=True),
    "stage": make_stage,
}


@pytest.mark.parametrize("frames", [1, 7])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_gives_the_same_however_the_clip_is_cut(name, frames):
    torch.manual_seed(0)
    assert_cutting_changes_nothing(LAYERS[name]().double(), random_clip(4, frames))


def test_a_convolution_inside_the_clip_starts_with_the_third_frame():
    layer = ClipConv3d(4, 4, (3, 1, 1), (2, 1, 1), ends="inside").double()
    clip = random_clip(4, 7)
    expected = torch.nn.functional.conv3d(clip, layer.weight, layer.bias, (2, 1, 1))
    torch.testing.assert_close(layer(clip), expected)


def test_the_doubled_frames_never_see_the_first():
    layer = WanUp2x(4, 4, time=True).double()
    clip = random_clip(4, 3)
    other = clip.clone()
    other[:, :, 0] += 1
    assert not torch.equal(layer(other)[:, :, :1], layer(clip)[:, :, :1])
    torch.testing.assert_close(layer(other)[:, :, 1:], layer(clip)[:, :, 1:])


def test_the_first_frame_is_halved_by_itself_and_the_others_in_pairs():
    layer = WanDown2x(4, time=True).double()
    clip = random_clip(4, 5)
    assert layer(clip).shape[2] == 3
    torch.testing.assert_close(layer(clip[:, :, :1]), layer(clip)[:, :, :1])
    means = MeanDown2x(2, time=True, space=True).double()(clip)
    first = clip[:, :, 0].unfold(2, 2, 2).unfold(3, 2, 2).sum((-1, -2)).unflatten(1, (2, -1))
    torch.testing.assert_close(means[:, :, 0], first.sum(2) / 16)  # the frame before is zeros
