"""odvae_core/layers/norm.py, and the moments in stream.py"""

import pytest
import torch

from odvae_core.layers.norm import ClipGroupNorm, FrameGroupNorm, activate
from odvae_core.layers.stream import Moments, StreamState
from tests.contract import assert_cutting_changes_nothing, draw_cuts, random_clip


def shaken(norm):
    """A norm whose weights are not ones and zeros."""
    torch.manual_seed(0)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    return norm


def test_a_frame_norm_gives_the_same_however_the_clip_is_cut():
    assert_cutting_changes_nothing(shaken(FrameGroupNorm(2, 8)).double(), random_clip(8, 7))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_clip_norm_with_given_moments_equals_the_whole_clip(dtype):
    norm, clip = shaken(ClipGroupNorm(2, 8)).to(dtype), random_clip(8, 7).to(dtype) + 3
    state = StreamState({norm: Moments.of(clip, 2)})
    with torch.no_grad():
        chunks = [norm(chunk, state) for chunk in clip.split([1, 4, 2], dim=2)]
        torch.testing.assert_close(torch.cat(chunks, dim=2), norm(clip))


def test_a_clip_norm_without_given_moments_uses_those_of_the_frames_so_far():
    norm, clip = shaken(ClipGroupNorm(2, 8)).double(), random_clip(8, 7)
    state = StreamState()
    norm(clip[:, :, :3], state)
    torch.testing.assert_close(norm(clip[:, :, 3:], state), norm(clip)[:, :, 3:])


def test_moments_of_chunks_add_up_to_the_moments_of_the_clip():
    clip = random_clip(8, 9) * 2 + 100
    whole = Moments.of(clip, 4)
    for lengths in draw_cuts(9):
        first, *rest = (Moments.of(c, 4) for c in clip.split(lengths, dim=2) if c.shape[2])
        total = sum(rest, first)
        assert total.count == whole.count
        torch.testing.assert_close(total.mean, whole.mean)
        torch.testing.assert_close(total.variance, whole.variance)


def test_moments_of_half_precision_are_kept_in_float32():
    moments = Moments.of(random_clip(8, 3).to(torch.bfloat16), 2)
    assert moments.mean.dtype == moments.variance.dtype == torch.float32


def test_a_clip_norm_keeps_the_type_of_its_input():
    norm, clip = ClipGroupNorm(2, 8).to(torch.bfloat16), random_clip(8, 3).to(torch.bfloat16)
    assert norm(clip, StreamState()).dtype == torch.bfloat16


def test_the_activation_is_in_place_only_where_no_gradient_is_recorded():
    features = torch.randn(3)
    assert activate(features.clone().requires_grad_()).requires_grad
    with torch.no_grad():
        assert activate(features) is features
