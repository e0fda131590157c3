"""The checkpoints of a run: which are kept, which is resumed, which is the best."""

import pytest

from odvae_core import CheckpointError
from tests.train.small_checkpoints import (
    draw_parts,
    flatten_state,
    list_names,
    list_steps,
    save_steps,
    truncate,
)
from train.checkpoints import Checkpoints, Retention


def test_a_folder_without_checkpoints_gives_none(tmp_path):
    checkpoints = Checkpoints(tmp_path / "a run" / "checkpoints", Retention())
    assert checkpoints.load_newest() is None
    assert checkpoints.best is None


def test_a_step_can_be_saved_again_and_the_second_save_replaces_the_first(tmp_path):
    checkpoints = save_steps(tmp_path, 1, 2, retention=Retention(newest=2))
    again = checkpoints.save(2, draw_parts(20), {"phase": "again"})
    newest = Checkpoints(tmp_path, Retention()).load_newest()
    assert newest.path == again
    assert newest.facts == {"phase": "again"}
    assert flatten_state(newest.load("vae")) == flatten_state(draw_parts(20)["vae"])
    assert list_names(tmp_path) == ["step-00000001", "step-00000002-2"]
    checkpoints.save(2, draw_parts(21), {})
    assert list_names(tmp_path) == ["step-00000001", "step-00000002-3"]


def test_the_newest_checkpoints_and_the_multiples_are_kept(tmp_path):
    checkpoints = save_steps(tmp_path, *range(5, 65, 5), retention=Retention(newest=2, every=20))
    assert list_steps(checkpoints) == [20, 40, 55, 60]


def test_steps_are_ordered_as_numbers(tmp_path):
    checkpoints = save_steps(tmp_path, 99_999_999, 100_000_000, retention=Retention(newest=1))
    assert list_steps(checkpoints) == [100_000_000]
    assert checkpoints.load_newest().step == 100_000_000


@pytest.mark.parametrize("numbers", [(0, 0), (1, -5)])
def test_keeping_nothing_is_refused(numbers):
    with pytest.raises(ValueError, match="give newest >= 1 and every >= 0"):
        Retention(*numbers)


def test_the_best_is_kept_after_later_saves_and_restarts(tmp_path):
    save_steps(tmp_path, 1, 2, 3, retention=Retention(newest=1), best=(2,))
    checkpoints = save_steps(tmp_path, 4, 5, retention=Retention(newest=1))
    assert checkpoints.best == tmp_path / "step-00000002"
    assert list_steps(checkpoints) == [2, 5]


def test_a_better_checkpoint_replaces_the_best(tmp_path):
    checkpoints = save_steps(tmp_path, 1, 2, 3, 4, retention=Retention(newest=1), best=(1, 3))
    assert checkpoints.best == tmp_path / "step-00000003"
    assert list_steps(checkpoints) == [3, 4]


def test_a_damaged_best_is_replaced_by_the_best_before_it(tmp_path):
    checkpoints = save_steps(tmp_path, 1, 2, 3, best=(1, 2))
    (tmp_path / "step-00000002" / "vae.pt").write_bytes(b"damaged")
    assert checkpoints.best == tmp_path / "step-00000001"
    (tmp_path / "step-00000001" / "manifest.json").unlink()
    assert checkpoints.best is None


def test_a_run_whose_checkpoints_are_all_damaged_is_not_restarted(tmp_path):
    checkpoints = save_steps(tmp_path, 1, 2)
    truncate(tmp_path / "step-00000001")
    truncate(tmp_path / "step-00000002")
    with pytest.raises(CheckpointError, match=r"none of the 2 .* is complete: restore one"):
        checkpoints.load_newest()


def test_a_damaged_checkpoint_does_not_count_as_one_of_the_newest(tmp_path):
    save_steps(tmp_path, 1, 5, 6)
    truncate(tmp_path / "step-00000005")
    truncate(tmp_path / "step-00000006")
    checkpoints = save_steps(tmp_path, 2, 3, retention=Retention(newest=2))
    assert list_steps(checkpoints) == [2, 3, 5, 6]
    assert checkpoints.load_newest().step == 3
    save_steps(tmp_path, 5, 6, retention=Retention(newest=2))
    assert list_names(tmp_path) == ["step-00000005-2", "step-00000006-2"]


def test_other_files_and_folders_are_not_changed(tmp_path, caplog):
    checkpoints = save_steps(tmp_path, 1)
    (tmp_path / "step-00000000").write_text("a file")
    (tmp_path / "step-best").mkdir()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "step-00000001" / "notes.txt").touch()
    assert checkpoints.load_newest().step == 1
    save_steps(tmp_path, 2, retention=Retention(newest=1))
    assert list_names(tmp_path) == ["notes.txt", "step-00000000", "step-00000002", "step-best"]
    assert caplog.messages == []
