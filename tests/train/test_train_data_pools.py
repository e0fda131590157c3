"""The clip of a sample: by weight and by length, among those that are long and large enough."""

from collections import Counter

import pytest
import torch

from train.config import ConfigError, DataConfig
from train.data import TrainingSet
from train.data.clips import MemoryClip
from train.data.pools import Source
from train.keyed_random import KeyedRandom


def make_clip(frames, side=64, name="clip"):
    """A grey clip."""
    return MemoryClip(name, (torch.zeros(frames, 3, side, side + 16, dtype=torch.uint8),))


def make_samples(*clips):
    return TrainingSet([Source(1.0, clips)], DataConfig(), 0)


def choose(training_set, frames, draws=400):
    """How often each clip is drawn for samples with this number of frames."""
    pool = training_set.pool_for(frames, 32)
    return Counter(pool.choose(KeyedRandom(index)).name for index in range(draws))


def test_longer_clips_are_drawn_more_often():
    training_set = make_samples(make_clip(10, name="short"), make_clip(30, name="long"))
    assert 250 < choose(training_set, 5)["long"] < 350


def test_sources_are_mixed_by_weight_regardless_of_their_clips():
    """3 : 1, so of 1000 draws 750 with a deviation of 14, though the one clip is the longest."""
    many = [make_clip(6, name="many") for _ in range(5)]
    sources = [Source(3.0, many), Source(1.0, [make_clip(100, name="one")])]
    names = choose(TrainingSet(sources, DataConfig(), 0), 5, 1000)
    assert abs(names["many"] - 750) < 60


def test_a_source_without_a_fitting_clip_leaves_its_part_to_the_others():
    sources = [Source(3.0, [make_clip(4)]), Source(1.0, [make_clip(9, name="long")])]
    assert choose(TrainingSet(sources, DataConfig(), 0), 5) == {"long": 400}


def test_single_frames_come_from_pictures_where_there_are_any():
    clip, picture = make_clip(9, name="clip"), make_clip(1, name="picture")
    assert choose(make_samples(clip, picture), 1) == {"picture": 400}
    assert choose(make_samples(clip), 1) == {"clip": 400}
    assert choose(make_samples(clip, picture), 2) == {"clip": 400}


def test_clips_that_are_too_short_or_small_are_skipped_and_named():
    clips = make_clip(9, name="fit"), make_clip(8, name="short"), make_clip(9, 31, "small")
    training_set = TrainingSet([Source(1.0, clips)], DataConfig(strides=(2, 3)), 0)
    pool = training_set.pool_for(5, 32)
    assert [pool.clip_at(i).name for i in range(len(pool.ends))] == ["fit"]
    assert [(skip.name, skip.reason) for skip in pool.skipped] == [
        ("short", "has 8 frames; 5 with stride 2 need 9"),
        ("small", "has a short side of 31 pixels; the crop is 32"),
    ]


def test_without_a_fitting_clip_the_error_names_the_first_ones_with_their_reasons():
    training_set = make_samples(*[make_clip(9, name=f"clip {i}") for i in range(7)])
    with pytest.raises(ConfigError, match=r"33 frames .* clip 0 \(has 9 .* clip 4 \(.*and 2 more"):
        training_set.pool_for(33, 32)
    with pytest.raises(ConfigError, match="there are only single pictures"):
        make_samples(make_clip(1)).pool_for(5, 32)
