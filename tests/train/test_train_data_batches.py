"""Batches don't depend on workers, processes or the first step; skipped clips are named once."""

import os
import pickle
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from tests.media import draw_noise, draw_numbers, make_clip
from train.config import ConfigError, DataConfig
from train.config_sections import Shape
from train.data import BrokenDataError, TrainingSet, load_training_set, make_batches

STEPS = 4

# Workers are forked where that is the platform's way; newer Pythons warn of the threads of torch.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


class Enumerated:
    """A schedule whose shapes are found by calling it."""

    def list_shapes(self, first_step):
        return [self(step) for step in range(first_step, STEPS)]


@dataclass(frozen=True)
class Alternating(Enumerated):
    """A schedule of alternating clips and pictures."""

    batch: int = 4
    clip_frames: int = 5

    def __call__(self, step: int) -> Shape:
        return Shape(self.batch, self.clip_frames if step % 2 == 0 else 1, 16)


@dataclass(frozen=True)
class Killed(Enumerated):
    """A schedule whose worker dies at its third step."""

    main: int

    def __call__(self, step: int) -> Shape:
        if step == 2 and os.getpid() != self.main:
            os.kill(os.getpid(), signal.SIGKILL)
        return Shape(2, 5, 16)


@dataclass(frozen=True)
class Recorded(Enumerated):
    """A schedule that records in a folder the steps that a worker has started."""

    folder: Path
    main: int

    def __call__(self, step: int) -> Shape:
        if os.getpid() != self.main:
            (self.folder / str(step)).touch()
        return Shape(2, 5, 16)


@pytest.fixture
def folder(tmp_path):
    make_clip(tmp_path / "a.mp4", draw_numbers(12))
    make_clip(tmp_path / "b.mp4", draw_noise(9))
    make_clip(tmp_path / "still.png", draw_noise(1), codec="png", pix_fmt="rgb24")
    return tmp_path


def load(folder, **settings):
    config = DataConfig(path=str(folder), rendered=0.3, crop="random", augment="strong")
    return load_training_set(replace(config, **settings), 0, folder / "clips.npz")


def collect(training_set, first=0, **settings):
    return list(make_batches(training_set, first, STEPS, Alternating(), **settings))


@pytest.mark.parametrize("cache", [False, True])
def test_two_workers_give_what_none_gives_bit_for_bit(folder, cache):
    training_set = load(folder, cache=cache)
    plain, ahead = collect(training_set), collect(training_set, workers=2)
    assert [batch.step for batch in ahead] == list(range(STEPS))
    assert [batch.video.shape[2] for batch in ahead] == [5, 1, 5, 1]
    assert all(torch.equal(a.video, b.video) for a, b in zip(plain, ahead, strict=True))


def test_a_pickled_training_set_gives_the_same_samples(folder):
    training_set = load(folder)
    travelled = pickle.loads(pickle.dumps(training_set))
    batch = training_set.draw_batch(0, range(3), 5, 16)
    assert torch.equal(travelled.draw_batch(0, range(3), 5, 16).video, batch.video)


def test_two_processes_share_the_batches_of_one(folder):
    training_set = load(folder)
    whole = collect(training_set)
    halves = [collect(training_set, rank=rank, world=2) for rank in range(2)]
    for batch, even, odd in zip(whole, *halves, strict=True):
        assert (even.indices, odd.indices) == (range(0, 4, 2), range(1, 4, 2))
        joined = torch.stack([even.video, odd.video], dim=1).flatten(0, 1)
        assert torch.equal(joined, batch.video)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_later_start_gives_the_same_steps(folder, workers):
    training_set = load(folder)
    whole, later = collect(training_set), collect(training_set, first=3, workers=workers)
    assert [batch.step for batch in later] == [3]
    assert torch.equal(later[0].video, whole[3].video)


def test_the_global_random_state_is_not_changed(folder):
    before = torch.random.get_rng_state()
    collect(load(folder))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_batch_that_the_processes_can_not_share_is_an_error_before_anything_is_read(folder):
    with pytest.raises(ConfigError, match="a batch of 4 can't be shared by 3 processes"):
        make_batches(load(folder), 0, STEPS, Alternating(), world=3)


def test_a_shape_that_only_a_later_step_has_is_checked_at_the_start(folder):
    with pytest.raises(ConfigError, match="no clip is left for samples of 13 frames"):
        make_batches(load(folder), 1, STEPS, Alternating(clip_frames=13))


@pytest.mark.parametrize("workers", [0, 2])
def test_each_skipped_clip_is_named_once(folder, workers, caplog):
    make_clip(folder / "short.mp4", draw_numbers(3))
    (folder / "empty.mp4").touch()
    batches = collect(load(folder, broken_limit=0.5), workers=workers)
    assert [skip.name for skip in batches[0].skipped] == ["empty.mp4", "short.mp4"]
    assert [batch.skipped for batch in batches[1:]] == [()] * 3
    assert caplog.text.count("left out: empty.mp4") == 1


@pytest.mark.parametrize("workers", [0, 2])
def test_clips_that_become_unreadable_are_named_once_and_count_towards_the_limit(folder, workers):
    training_set = load(folder, rendered=0.0, broken_limit=0.4)
    (folder / "b.mp4").write_bytes(b"")
    named = [
        skip.name for batch in collect(training_set, workers=workers) for skip in batch.skipped
    ]
    assert named == ["b.mp4"]
    also = replace(training_set.config, broken_limit=0.3)
    with pytest.raises(BrokenDataError, match=r"1 of 3 clips .*broken_limit is 0.3: b.mp4 \("):
        collect(TrainingSet(training_set.sources, also, 0), workers=workers)


def test_a_worker_that_dies_is_an_error_with_a_remedy(folder):
    with pytest.raises(BrokenDataError, match=r"a worker .* died .* fewer workers"):
        list(make_batches(load(folder), 0, 9, Killed(os.getpid()), workers=1))


def test_a_worker_makes_two_batches_ahead_and_ends_with_the_reader(folder, tmp_path):
    steps = tmp_path / "steps"
    steps.mkdir()
    batches = make_batches(load(folder), 0, 1000, Recorded(steps, os.getpid()), workers=1)
    assert next(batches).step == 0
    time.sleep(0.5)  # would be enough for many more
    assert sorted(path.name for path in steps.iterdir()) == ["0", "1", "2"]
    started = time.monotonic()
    batches.close()
    assert time.monotonic() - started < 5
    assert torch.multiprocessing.active_children() == []


def test_workers_ignore_a_signal_to_all_processes(folder):
    batches = make_batches(load(folder), 0, STEPS, Alternating(), workers=1)
    next(batches)
    (worker,) = torch.multiprocessing.active_children()
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(worker.pid, number)
    assert [batch.step for batch in batches] == [1, 2, 3]
