"""Training samples: functions of their key, within range, from anywhere in a clip."""

import pytest
import torch

from train.config import DataConfig
from train.data import Clip, Footage, Samples, crop_resized, to_bytes
from train.dice import Dice
from train.render import render
from train.textures import draw_mask, draw_texture

FRAMES, SIZE = 5, 32


def make_clip(frames=12, height=64, width=96, name="clip"):
    """A clip whose frames are of one grey each: 10 times their number."""
    greys = torch.arange(frames, dtype=torch.uint8) * 10
    return Clip(name, (greys.view(-1, 1, 1, 1).repeat(1, 3, height, width),))


def make_samples(rendered=0.5, seed=0):
    config = DataConfig(rendered=rendered, min_side=32, max_side=64)
    return Samples(Footage([make_clip()], config), config, seed)


@pytest.mark.parametrize("rendered", [0.0, 1.0])
def test_a_sample_depends_on_seed_step_and_index_alone(rendered):
    samples, again = make_samples(rendered), make_samples(rendered)
    again.batch(3, range(2), FRAMES, SIZE)  # what was drawn before doesn't matter
    torch.manual_seed(123)
    torch.testing.assert_close(
        samples.sample(7, 1, FRAMES, SIZE), again.sample(7, 1, FRAMES, SIZE), rtol=0, atol=0
    )


def test_another_seed_step_or_index_gives_another_sample():
    sample = make_samples(1.0).sample(7, 1, FRAMES, SIZE)
    for seed, step, index in ((1, 7, 1), (0, 8, 1), (0, 7, 2)):
        other = make_samples(1.0, seed).sample(step, index, FRAMES, SIZE)
        assert not torch.equal(sample, other)


def test_processes_share_a_batch_without_overlap():
    samples = make_samples()
    whole = samples.batch(4, range(4), FRAMES, SIZE)
    parts = [samples.batch(4, range(rank, 4, 2), FRAMES, SIZE) for rank in range(2)]
    assert torch.equal(whole, torch.stack(parts, dim=1).flatten(0, 1))


@pytest.mark.parametrize("rendered", [0.0, 1.0])
def test_a_batch_is_video_within_its_range(rendered):
    batch = make_samples(rendered).batch(0, range(6), FRAMES, SIZE)
    assert batch.shape == (6, 3, FRAMES, SIZE, SIZE)
    assert batch.min() >= -1
    assert batch.max() <= 1


def test_every_start_and_stride_of_a_clip_is_drawn():
    footage = Footage([make_clip(frames=7)], DataConfig(min_side=32, max_side=64))
    seen = set()
    for index in range(200):
        greys = footage.draw(Dice(index), 3, SIZE)[0, :, 0, 0]
        first, stride = greys[0].item() * 25.5, (greys[1] - greys[0]).item() * 25.5
        seen.add((round(first), round(stride)))
    assert seen == {(start, stride) for stride in (1, 2, 3) for start in range(7 - 2 * stride)}


def test_longer_clips_are_drawn_more_often():
    clips = [make_clip(frames=10, name="short"), make_clip(frames=30, name="long")]
    footage = Footage(clips, DataConfig())
    names = [footage.choose_clip(Dice(index)).name for index in range(400)]
    assert 250 < names.count("long") < 350


def test_a_crop_at_the_clips_own_size_is_cut_and_not_resampled():
    video = torch.randint(0, 256, (2, 3, 40, 60), dtype=torch.uint8)
    crop = crop_resized(video, side=40, size=40, dice=Dice(0))
    places = [
        left for left in range(21) if torch.equal(crop * 255, video[..., left : left + 40].float())
    ]
    assert len(places) == 1


def test_bytes_hold_what_the_reader_gave():
    frames = torch.randint(0, 256, (3, 3, 8, 8), dtype=torch.uint8)
    video = (frames.float() / 127.5 - 1).transpose(0, 1)[None]
    assert torch.equal(to_bytes(video), frames)


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
