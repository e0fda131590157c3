"""Errors at window borders and by position in the group of four, and the compression ratio."""

import math

import pytest
import torch

from odvae_core.metrics import border_error, by_position


@pytest.fixture
def jump():
    """9 frames; the second half is brighter by 0.5 than it should be, from frame 5 on."""
    reference = torch.linspace(-1, 0, 9).view(1, 1, 9, 1, 1).expand(2, 3, 9, 4, 4)
    video = reference.clone()
    video[:, :, 5:] += 0.5
    return video, reference


def test_a_jump_between_windows_is_an_error_at_their_border_alone(jump):
    """0.5 in [-1, 1] is 0.25 of the range."""
    error = border_error(*jump, borders=[5])
    assert error.at_borders == pytest.approx(0.25)
    assert error.elsewhere == pytest.approx(0, abs=1e-7)
    assert border_error(*jump, borders=[4]).at_borders == pytest.approx(0, abs=1e-7)


def test_the_errors_are_means_over_borders_and_over_all_other_frames(jump):
    """The jump is one of two borders, then one of seven frames between them."""
    assert border_error(*jump, borders=(3, 5)).at_borders == pytest.approx(0.125)
    assert border_error(*jump, borders=(3,)).elsewhere == pytest.approx(0.25 / 7)


def test_the_ratio_is_1_for_the_same_flicker_everywhere():
    reference = torch.zeros(1, 3, 9, 4, 4)
    blinking = reference.clone()
    blinking[:, :, ::2] = 0.5
    assert border_error(blinking, reference, [4]).ratio == pytest.approx(1)


def test_the_ratio_is_the_border_over_the_rest(jump):
    video, reference = (clip.clone() for clip in jump)
    video[:, :, 7:] += 0.1
    error = border_error(video, reference, [5])
    assert error.ratio == pytest.approx(0.25 / (0.05 / 7), rel=1e-5)


def test_without_any_other_error_the_ratio_is_1_or_infinite():
    still = torch.zeros(1, 3, 5, 4, 4)
    assert border_error(still, still, [3]) == (0.0, 0.0, 1.0)
    jumping = still.clone()
    jumping[:, :, 3:] = 1
    assert border_error(jumping, still, [3]) == (0.5, 0.0, math.inf)


@pytest.mark.parametrize("borders", [[], [0], [9], [-1], range(1, 9)])
def test_borders_outside_of_the_clip_none_and_all_are_refused(jump, borders):
    with pytest.raises(ValueError, match=r"9 frames; give at least one of 1 to 8 and not all"):
        border_error(*jump, borders=borders)


def test_positions_are_the_first_frame_and_then_the_places_in_every_group():
    values = torch.tensor([[7.0, 1, 2, 3, 4, 5, 6, 7, 8], [9.0, 1, 2, 3, 4, 5, 6, 7, 8]])
    assert by_position(values).tolist() == [8.0, 3.0, 4.0, 5.0, 6.0]
    assert by_position(values, group=2).tolist() == [8.0, 4.0, 5.0]


def test_a_last_group_that_is_cut_off_counts_as_far_as_it_goes():
    assert by_position(torch.tensor([[0.0, 1, 2, 3, 4, 10]])).tolist() == [0.0, 5.5, 2.0, 3.0, 4.0]


def test_positions_are_averaged_in_float64():
    values = torch.full((1, 5), 1 + 2**-10, dtype=torch.bfloat16)
    assert by_position(values).dtype == torch.float64


@pytest.mark.parametrize(("shape", "group"), [((1, 4), 4), ((5,), 4), ((1, 5), 0)])
def test_clips_without_a_whole_group_are_refused(shape, group):
    with pytest.raises(ValueError, match=rf"groups of {group}.*{1 + group} frames or more"):
        by_position(torch.zeros(shape), group)
