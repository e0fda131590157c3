"""What the trivial reconstructions do, by hand."""

import torch

from odvae_core.evaluation.baselines import BASELINES, keep_group_means, keep_nearest, shrink_frames


def number_frames(frames):
    """A clip whose frames hold their own number."""
    return torch.arange(float(frames)).view(1, 1, -1, 1, 1).expand(1, 3, -1, 16, 16)


def test_groups_are_frame_0_and_then_four_frames_each():
    means = keep_group_means(number_frames(9))[0, 0, :, 0, 0]
    assert means.tolist() == [0, 2.5, 2.5, 2.5, 2.5, 6.5, 6.5, 6.5, 6.5]


def test_the_nearest_kept_frame_is_the_earlier_of_two():
    kept = keep_nearest(number_frames(9))[0, 0, :, 0, 0]
    assert kept.tolist() == [0, 0, 0, 4, 4, 4, 4, 8, 8]


def test_an_eighth_a_side_is_left():
    assert shrink_frames(torch.zeros(1, 3, 5, 64, 32)).shape == (1, 3, 5, 8, 4)


def test_a_flat_clip_comes_back_whole():
    video = torch.full((1, 3, 5, 32, 32), 0.25)
    for reconstruct in BASELINES.values():
        torch.testing.assert_close(reconstruct(video), video)
