"""odvae_core/layers/attention.py"""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from odvae_core.layers.attention import (
    ChannelFrameAttention,
    FrameAttention,
    LinearFrameAttention,
    SpaceTimeAttention,
    TemporalAttention,
    attend,
)
from odvae_core.layers.conv import FrameConv2d
from odvae_core.layers.norm import ClipGroupNorm, FrameGroupNorm
from odvae_core.layers.separated import SeparatedAttention
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
    scrambled = ChannelFrameAttention(8, ClipGroupNorm(2, 8)).double()
    scrambled.load_state_dict(right.state_dict())
    clip = random_clip(8, 3)
    torch.testing.assert_close(scrambled(clip[:, :, :1]), right(clip[:, :, :1]))
    assert (scrambled(clip) - right(clip)).abs().max() > 1e-3


class LargestTensor(TorchDispatchMode):
    """Counts the elements of the largest tensor that an operator returns."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        output = func(*args, **(kwargs or {}))
        for tensor in tree_iter(output):
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return output


ATTENTIONS = {
    "frame": lambda: FrameAttention(8, FrameGroupNorm(2, 8)),
    "2D": lambda: FrameAttention(8, FrameGroupNorm(2, 8), FrameConv2d),
    "linear": lambda: LinearFrameAttention(8, FrameGroupNorm(2, 8)),
    "scrambled": lambda: ChannelFrameAttention(8, FrameGroupNorm(2, 8)),
    "temporal": lambda: TemporalAttention(8, FrameGroupNorm(2, 8)),
    "space-time": lambda: SpaceTimeAttention(8, FrameGroupNorm(2, 8)),
    "separated": lambda: SeparatedAttention(8),
}


@pytest.mark.parametrize("kind", ATTENTIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_attention_forms_the_matrix_of_its_scores(kind, dtype):
    frames, height, width = (200, 2, 2) if kind in ("temporal", "space-time") else (2, 20, 20)
    clip = torch.randn(1, 8, frames, height, width, dtype=dtype)
    with LargestTensor() as largest:
        ATTENTIONS[kind]().to(dtype)(clip)
    scores = min(frames, height * width) * max(frames, height * width) ** 2
    assert largest.elements <= 3 * clip.numel() < scores


@pytest.mark.parametrize("rows", [(3, 5, 7, 8), (2, 1, 65, 16)])
def test_attention_is_the_softmax_of_the_scores(rows):
    q, k, v = torch.randn(3, *rows, dtype=torch.float64)
    scores = q @ k.transpose(-2, -1) / rows[-1] ** 0.5
    torch.testing.assert_close(attend(q, k, v), scores.softmax(dim=-1) @ v)
