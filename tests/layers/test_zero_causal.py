"""odvae_core/layers/zero_causal.py"""

import pytest
import torch

from odvae_core.layers.stream import StreamState
from odvae_core.layers.zero_causal import DepthToTime2x, DropFront, PadFront, ZeroCausalConv3d
from tests.contract import (
    assert_cutting_changes_nothing,
    close,
    draw_cuts,
    random_clip,
    run_chunks,
)

LAYERS = {
    "kernel of three": ZeroCausalConv3d(4, 6),
    "kernel of one, no bias": ZeroCausalConv3d(4, 6, 1, bias=False),
    "twice the frames": DepthToTime2x(4),
    "zeros in front": PadFront(3),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("frames", [4, 8])
def test_a_layer_gives_the_same_however_the_clip_is_cut(name, frames):
    assert_cutting_changes_nothing(LAYERS[name].double(), random_clip(4, frames))


@torch.no_grad()
def test_halving_time_gives_the_same_however_the_clip_is_cut():
    layer, clip = ZeroCausalConv3d(4, 6, time_stride=2).double(), random_clip(4, 8)
    whole = layer(clip)
    assert whole.shape[2] == 4
    for lengths in draw_cuts(8):
        close(run_chunks(layer, list(clip.split(lengths, dim=2))), whole)


def test_zeros_lie_before_the_clip():
    conv, clip = ZeroCausalConv3d(4, 6).double(), random_clip(4, 3)
    before = torch.cat([torch.zeros_like(clip[:, :, :2]), clip], dim=2)
    torch.testing.assert_close(conv(before)[:, :, 2:], conv(clip))


def test_pairs_of_channels_become_pairs_of_frames():
    layer, clip = DepthToTime2x(4).double(), random_clip(4, 3)
    convolved = super(DepthToTime2x, layer).forward(clip)
    result = layer(clip)
    torch.testing.assert_close(result[:, :, 0::2], convolved[:, 0::2])
    torch.testing.assert_close(result[:, :, 1::2], convolved[:, 1::2])


def test_the_first_frames_are_dropped_once():
    clip, drop, state = random_clip(4, 8), DropFront(3), StreamState()
    chunks = [drop(chunk, state) for chunk in clip.split(4, dim=2)]
    torch.testing.assert_close(torch.cat(chunks, dim=2), clip[:, :, 3:])
    torch.testing.assert_close(drop(clip), clip[:, :, 3:])
