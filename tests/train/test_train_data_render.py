"""Rendered clips, and augmentations of samples."""

import pytest
import torch

from train.config import CHOICES
from train.data.augmenting import AUGMENTATIONS
from train.data.render import render_clip
from train.data.textures import draw_mask, draw_texture
from train.keyed_random import KeyedRandom

FRAMES, SIZE = 5, 32


def test_every_augmentation_of_the_configuration_exists():
    assert set(AUGMENTATIONS) == set(CHOICES["data.augment"])


def test_augmentations_change_what_their_names_say():
    video = torch.rand(3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    mirrored = [AUGMENTATIONS["mirror"](KeyedRandom(i), video) for i in range(20)]
    assert AUGMENTATIONS["none"](KeyedRandom(0), video) is video
    assert sum(torch.equal(x, video) for x in mirrored) in range(4, 17)
    assert all(torch.equal(x, video) or torch.equal(x, video.flip(3)) for x in mirrored)
    reversed_too = [
        AUGMENTATIONS["strong"](KeyedRandom(i), video).mean((0, 2, 3)) for i in range(20)
    ]
    assert len({tuple(x.tolist()) for x in reversed_too}) > 10


@pytest.mark.parametrize("index", range(12))
def test_textures_and_masks_stay_within_their_range(index):
    rng = KeyedRandom(index)
    for picture, channels in ((draw_texture(rng, SIZE), 3), (draw_mask(rng, SIZE), 1)):
        assert picture.shape == (channels, SIZE, SIZE)
        assert picture.min() >= 0
        assert picture.max() <= 1


def test_rendered_clips_mostly_move():
    def still(rng, size):
        return rng.uniforms(3, size, size)

    changes = [
        render_clip(KeyedRandom(i), FRAMES, SIZE, still).diff(dim=1).abs().mean() for i in range(20)
    ]
    assert sum(change > 0.001 for change in changes) > 10
