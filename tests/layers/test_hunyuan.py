"""odvae_core/layers/hunyuan.py, and the attention of attention.py that it is used with"""

import pytest
import torch
from torch import nn

from odvae_core.layers.attention import CausalSpaceTimeAttention, FullSpaceTimeAttention
from odvae_core.layers.conv import CausalConv3d
from odvae_core.layers.hunyuan import HunyuanDown2x, HunyuanUp2x
from odvae_core.layers.norm import FrameGroupNorm
from tests.contract import assert_cutting_changes_nothing, random_clip

LAYERS = {
    "convolution": lambda: CausalConv3d(8, 6, space="replicate"),
    "down": lambda: HunyuanDown2x(8, time=False),
    "down in time": lambda: HunyuanDown2x(8, time=True),
    "up": lambda: HunyuanUp2x(8, time=False),
    "up in time": lambda: HunyuanUp2x(8, time=True),
    "causal attention": lambda: CausalSpaceTimeAttention(8, FrameGroupNorm(2, 8), nn.Conv3d),
    "full attention": lambda: FullSpaceTimeAttention(8, FrameGroupNorm(2, 8), nn.Conv3d),
}


@pytest.mark.parametrize("frames", [1, 7])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_gives_the_same_however_the_clip_is_cut(name, frames):
    torch.manual_seed(0)
    assert_cutting_changes_nothing(LAYERS[name]().double(), random_clip(8, frames))


def test_causal_attention_is_masked_attention():
    layer = CausalSpaceTimeAttention(8, FrameGroupNorm(2, 8), nn.Conv3d).double()
    clip = random_clip(8, 3, 2, 2)
    h = layer.norm(clip)
    q, k, v = (part(h).flatten(2).transpose(1, 2)[:, None] for part in (layer.q, layer.k, layer.v))
    frame = torch.arange(3).repeat_interleave(4)
    mask = frame[:, None] >= frame[None, :]
    mixed = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    expected = clip + layer.proj_out(mixed[:, 0].transpose(1, 2).unflatten(2, (3, 2, 2)))
    torch.testing.assert_close(layer(clip), expected)


def test_full_attention_sees_later_frames_and_the_causal_one_does_not():
    clip = random_clip(8, 3)
    other = clip.clone()
    other[:, :, 2] += torch.randn_like(other[:, :, 2])
    for make, changes in ((CausalSpaceTimeAttention, False), (FullSpaceTimeAttention, True)):
        layer = make(8, FrameGroupNorm(2, 8), nn.Conv3d).double()
        difference = (layer(other) - layer(clip))[:, :, :2].abs().amax()
        assert (difference > 1e-9) == changes


def test_the_first_frame_is_doubled_in_space_alone():
    layer = HunyuanUp2x(8, time=True).double()
    assert layer(random_clip(8, 3)).shape == (2, 8, 5, 12, 16)
    assert layer(random_clip(8, 1)).shape == (2, 8, 1, 12, 16)
