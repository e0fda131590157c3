"""What is drawn and not read, and how samples are varied."""

import pytest
import torch

from train.config import CHOICES
from train.data.augmenting import AUGMENTS
from train.dice import Dice
from train.render import render
from train.textures import draw_mask, draw_texture

FRAMES, SIZE = 5, 32


def test_every_augmentation_that_a_configuration_may_name_is_there():
    assert set(AUGMENTS) == set(CHOICES["data.augment"])


def test_augmentations_are_what_they_say():
    video = torch.rand(3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    mirrored = [AUGMENTS["mirror"](Dice(i), video) for i in range(20)]
    assert AUGMENTS["none"](Dice(0), video) is video
    assert sum(torch.equal(x, video) for x in mirrored) in range(4, 17)
    assert all(torch.equal(x, video) or torch.equal(x, video.flip(3)) for x in mirrored)
    reversed_too = [AUGMENTS["strong"](Dice(i), video).mean((0, 2, 3)) for i in range(20)]
    assert len({tuple(x.tolist()) for x in reversed_too}) > 10


@pytest.mark.parametrize("index", range(12))
def test_textures_and_masks_stay_within_their_range(index):
    dice = Dice(index)
    for picture, channels in ((draw_texture(dice, SIZE), 3), (draw_mask(dice, SIZE), 1)):
        assert picture.shape == (channels, SIZE, SIZE)
        assert picture.min() >= 0
        assert picture.max() <= 1


def test_rendered_clips_mostly_move():
    def still(dice, size):
        return dice.uniforms(3, size, size)

    changes = [render(Dice(i), FRAMES, SIZE, still).diff(dim=1).abs().mean() for i in range(20)]
    assert sum(change > 0.001 for change in changes) > 10
