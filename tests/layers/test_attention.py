"""odvae_core/layers/attention.py"""

import torch

from odvae_core.layers.attention import FrameAttention, ScrambledAttention, TemporalAttention
from odvae_core.layers.conv import FrameConv2d
from odvae_core.layers.norm import ClipGroupNorm, FrameGroupNorm
from tests.contract import assert_cutting_changes_nothing, random_clip


def test_frame_attention_gives_the_same_however_the_clip_is_cut():
    layer = FrameAttention(8, FrameGroupNorm(2, 8)).double()
    assert_cutting_changes_nothing(layer, random_clip(8, 5))


def test_2d_attention_gives_the_same_however_the_clip_is_cut():
    layer = FrameAttention(8, FrameGroupNorm(2, 8), FrameConv2d).double()
    assert_cutting_changes_nothing(layer, random_clip(8, 5))


def test_temporal_attention_gives_the_same_however_the_clip_is_cut():
    layer = TemporalAttention(8, FrameGroupNorm(2, 8)).double()
    assert_cutting_changes_nothing(layer, random_clip(8, 5))


def test_frame_attention_keeps_frames_apart():
    layer, clip = FrameAttention(8, FrameGroupNorm(2, 8)).double(), random_clip(8, 3)
    alone = layer(clip[:, :, 1:2])
    torch.testing.assert_close(layer(clip)[:, :, 1:2], alone)


def test_scrambled_attention_equals_frame_attention_on_one_frame_only():
    right = FrameAttention(8, ClipGroupNorm(2, 8)).double()
    scrambled = ScrambledAttention(8, ClipGroupNorm(2, 8)).double()
    scrambled.load_state_dict(right.state_dict())
    clip = random_clip(8, 3)
    torch.testing.assert_close(scrambled(clip[:, :, :1]), right(clip[:, :, :1]))
    assert (scrambled(clip) - right(clip)).abs().max() > 1e-3
