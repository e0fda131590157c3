"""Training samples: functions of their key, with exact frames from all parts of a clip."""

import itertools
import shutil

import pytest
import torch

from odvae_core.video import read_video
from tests.media import draw_noise, draw_numbers, make_clip, read_numbers
from train.config_sections import DataConfig, SourceConfig
from train.data import BrokenDataError, TrainingSet, load_training_set
from train.data.clips import CropSpec, MemoryClip, draw_crop_spec
from train.data.pools import Source
from train.keyed_random import KeyedRandom

FRAMES, SIZE = 5, 32
STRONG = {"sides": (32, 64), "strides": (1, 3), "crop": "random", "augment": "strong"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A clip of 12 numbered frames, one of noise, a short one, a picture of frame 5."""
    position = tmp_path_factory.mktemp("clips")
    make_clip(position / "long.mp4", draw_numbers(12, 64, 96))
    make_clip(position / "noise.mkv", draw_noise(6, 48, 64), codec="ffv1", pix_fmt="bgr0")
    make_clip(position / "short.mp4", draw_numbers(3))
    make_clip(position / "still.png", draw_numbers(6)[5:], codec="png", pix_fmt="rgb24")
    return position


def load(folder, *include, **settings):
    sources = (SourceConfig(include=include or ("*",)),)
    config = DataConfig(**{"path": str(folder), "sources": sources, **settings})
    return load_training_set(config, 0, folder / "clips.json")


def make_clip_in_memory(frames=12, height=64, width=96, name="clip"):
    """A clip of uniformly grey frames, 10 times their number."""
    greys = torch.arange(frames, dtype=torch.uint8) * 10
    return MemoryClip(name, (greys.view(-1, 1, 1, 1).repeat(1, 3, height, width),))


def make_samples(seed=0, **settings):
    clips = [make_clip_in_memory()]
    return TrainingSet([Source(1.0, clips)], DataConfig(**{**STRONG, **settings}), seed)


def draw(training_set, step, index, frames=FRAMES, size=SIZE):
    return training_set.draw_batch(step, range(index, index + 1), frames, size).video


def read_first_and_stride(video):
    numbers = read_numbers(video)
    assert [b - a for a, b in itertools.pairwise(numbers)] == [numbers[1] - numbers[0]] * (
        len(numbers) - 1
    )
    return numbers[0], numbers[1] - numbers[0]


@pytest.mark.parametrize("rendered", [0.0, 1.0])
def test_a_sample_depends_only_on_seed_step_and_index(rendered):
    training_set, again = make_samples(rendered=rendered), make_samples(rendered=rendered)
    again.draw_batch(3, range(2), FRAMES, SIZE)  # what was drawn before doesn't matter
    torch.manual_seed(123)
    assert torch.equal(draw(training_set, 7, 1), draw(again, 7, 1))


def test_another_seed_step_or_index_gives_another_sample():
    sample = draw(make_samples(rendered=1.0), 7, 1)
    for seed, step, index in ((1, 7, 1), (0, 8, 1), (0, 7, 2)):
        other = draw(make_samples(seed, rendered=1.0), step, index)
        assert not torch.equal(sample, other)


def test_a_sample_does_not_depend_on_the_number_of_threads():
    training_set, threads = make_samples(rendered=1.0), torch.get_num_threads()
    results = []
    for count in (1, 3):
        torch.set_num_threads(count)
        results.append(training_set.draw_batch(0, range(3), 1, 128).video)
        assert torch.get_num_threads() == count
    torch.set_num_threads(threads)
    assert torch.equal(*results)


@pytest.mark.parametrize("cache", [False, True])
def test_every_start_and_stride_is_drawn_the_last_start_too(folder, cache):
    training_set = load(folder, "long.mp4", strides=(1, 3), cache=cache, kept_sides=(64, 32))
    seen = {read_first_and_stride(draw(training_set, step, 0, 4)) for step in range(150)}
    assert seen == {(start, stride) for stride in (1, 2, 3) for start in range(12 - 3 * stride)}


def test_a_clip_of_exactly_the_frames_that_are_needed_is_taken_whole(folder):
    training_set = load(folder, "short.mp4", strides=(1, 3))
    assert read_numbers(draw(training_set, 0, 0, 3)) == [0, 1, 2]


def test_strides_begin_where_the_range_does(folder):
    training_set = load(folder, "long.mp4", strides=(3, 9))
    assert {read_first_and_stride(draw(training_set, step, 0, 4)) for step in range(30)} == {
        (start, 3) for start in range(3)
    }


def test_a_centre_crop_of_the_native_size_is_what_the_reader_gives(folder):
    """The protocol of OD-VAE's authors: a centre crop without resizing."""
    training_set = load(folder, "noise.mkv")
    video = draw(training_set, 0, 0, 6, 24)
    expected = read_video(folder / "noise.mkv", crop=(24, 24))
    torch.testing.assert_close(video, expected, rtol=0, atol=1e-6)


def test_a_short_side_of_the_crop_leaves_no_room_beside_it(folder):
    training_set = load(folder, "noise.mkv", sides=(1, 1))
    expected = read_video(folder / "noise.mkv", short_side=24, crop=(24, 24))
    torch.testing.assert_close(draw(training_set, 0, 0, 6, 24), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("cache", [False, True])
def test_random_crops_reach_every_corner(folder, cache):
    training_set = load(folder, "noise.mkv", crop="random", cache=cache, kept_sides=(48,))
    whole = read_video(folder / "noise.mkv", frames=1)
    corners = {
        (top, left): whole[..., top : top + 45, left : left + 45]
        for top in (0, 3)
        for left in (0, 19)
    }
    reached = set()
    for step in range(400):
        video = draw(training_set, step, 0, 6, 45)[:, :, :1]
        reached |= {
            position for position, crop in corners.items() if (video - crop).abs().max() < 1e-5
        }
    assert reached == set(corners)


@pytest.mark.parametrize(
    ("sides", "own", "size", "reached"),
    [
        ((0, 0), 100, 32, (100, 100)),
        ((1, 1), 100, 32, (32, 32)),
        ((64, 0), 100, 32, (64, 100)),
        ((64, 80), 100, 72, (72, 80)),
        ((256, 512), 100, 32, (100, 100)),  # never enlarged
        ((32, 64), 100, 96, (96, 96)),
    ],
)
def test_the_short_side_lies_in_its_range_and_is_never_enlarged(sides, own, size, reached):
    config = DataConfig(sides=sides)
    drawn = [draw_crop_spec(KeyedRandom(i), config, 5, own, 5, size).side for i in range(300)]
    assert (min(drawn), max(drawn)) == reached


def test_cached_and_decoded_samples_are_the_same_crop(folder):
    """Their pixels differ only by the scaling algorithm."""
    settings = {**STRONG, "augment": "none"}
    retention = load(folder, "long.mp4", cache=True, kept_sides=(64,), **settings)
    filed = load(folder, "long.mp4", **settings)
    for step in range(8):
        torch.testing.assert_close(
            draw(retention, step, 0), draw(filed, step, 0), rtol=0, atol=0.02
        )


def break_inside(path):
    """Overwrite the last pictures of a clip, but not its list of frames."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    path.write_bytes(data)
    return path


def test_an_unreadable_clip_is_replaced_by_another_which_is_the_same_in_every_call(tmp_path):
    make_clip(tmp_path / "good.mp4", draw_numbers(12))
    broken = make_clip(tmp_path / "broken.mp4", draw_noise(12), movflags="faststart")
    training_set = load(tmp_path)
    break_inside(broken)
    batches = [training_set.draw_batch(0, range(8), 12, SIZE) for _ in range(2)]
    assert [skip.name for skip in batches[0].skipped] == ["broken.mp4"]
    assert str(tmp_path) not in batches[0].skipped[0].reason
    assert torch.equal(batches[0].video, batches[1].video)
    assert read_numbers(batches[0].video) == list(range(12))  # in all of them: nothing is black


def test_without_any_readable_clip_the_error_names_the_clips(tmp_path):
    broken = make_clip(tmp_path / "broken.mp4", draw_noise(12), movflags="faststart")
    training_set = load(tmp_path)
    break_inside(broken)
    with pytest.raises(BrokenDataError, match=r"20 clips in a row .* broken.mp4 \("):
        training_set.draw_batch(0, range(1), 12, SIZE)


def test_a_clip_with_fewer_frames_than_when_it_was_probed_is_unreadable(folder, tmp_path):
    position = tmp_path / "clips"
    position.mkdir()
    shutil.copy(folder / "long.mp4", position / "a.mp4")
    training_set = load(position)
    shutil.copy(folder / "short.mp4", position / "a.mp4")
    with pytest.raises(BrokenDataError, match=r"gives 3 of 12 frames from 0.000 s on"):
        training_set.draw_batch(0, range(1), 12, SIZE)


def test_processes_share_a_batch_without_overlap():
    training_set = make_samples(rendered=0.5)
    whole = training_set.draw_batch(4, range(4), FRAMES, SIZE).video
    parts = [training_set.draw_batch(4, range(rank, 4, 2), FRAMES, SIZE).video for rank in range(2)]
    assert torch.equal(whole, torch.stack(parts, dim=1).flatten(0, 1))


@pytest.mark.parametrize("rendered", [0.0, 1.0])
def test_a_batch_is_video_within_its_range(rendered):
    batch = make_samples(rendered=rendered).draw_batch(0, range(6), FRAMES, SIZE)
    assert batch.video.shape == (6, 3, FRAMES, SIZE, SIZE)
    assert batch.video.min() >= -1
    assert batch.video.max() <= 1


def test_a_still_larger_than_every_clip_is_enlarged(folder):
    still = load(folder, "still.png", crop="random").draw_still(KeyedRandom(0), 48)
    assert still.shape == (3, 48, 48)
    assert still.mean().item() * 255 == pytest.approx(88, abs=2)


def test_a_crop_at_the_clips_own_size_is_not_resampled():
    level = torch.randint(0, 256, (2, 3, 40, 60), dtype=torch.uint8)
    cut = CropSpec(start=0, frames=2, stride=1, side=40, size=40, position=(0.0, 0.5))
    crop = MemoryClip("noise", (level,)).read(cut).transpose(0, 1)
    assert torch.equal((crop * 255).round(), level[..., 10:50].float())


def test_the_readers_warning_about_a_file_is_logged_once_and_not_for_every_sample(tmp_path, caplog):
    make_clip(tmp_path / "clear.png", draw_numbers(1), codec="png", pix_fmt="rgba")
    training_set = load(tmp_path)
    for step in range(3):
        draw(training_set, step, 0, 1)
    assert caplog.text.count("its alpha channel is dropped") == 1
