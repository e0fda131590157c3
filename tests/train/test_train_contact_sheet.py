"""The contact sheet: its pictures, its size, and that it is written atomically."""

import pytest
import torch
from matplotlib.image import imread

from train.contact_sheet import CAPTION, GAP, MOST_WIDE, choose_frames, draw_contact_sheet


def draw(path, crops, reconstructions):
    """The sheet's pixels, [H, W, 3] in [0, 1]."""
    draw_contact_sheet(crops, reconstructions, path)
    return imread(path)[..., :3]


def test_a_row_shows_original_reconstruction_and_four_times_the_difference(tmp_path):
    grey = torch.full((1, 3, 1, 16, 24), 0.2)
    sheet = draw(tmp_path / "sheet.png", grey, grey - 0.2)
    shown = [sheet[8, column * (24 + GAP) + 12].mean() for column in range(3)]
    assert shown == pytest.approx([0.6, 0.5, 0.4], abs=0.02)


def test_each_clip_has_a_row_of_pictures_with_a_caption_below_each(tmp_path):
    clips = torch.stack([torch.full((3, 5, 16, 16), level) for level in (-1.0, 1.0)])
    sheet = draw(tmp_path / "sheet.png", clips, clips)
    assert sheet.shape == (2 * (16 + CAPTION), 9 * (16 + GAP) - GAP, 3)
    assert sheet[8, 8].tolist() == [0, 0, 0]
    assert sheet[16 + CAPTION + 8, 8].tolist() == [1, 1, 1]
    assert sheet[16 : 16 + CAPTION, :16].min() < 0.5


@pytest.mark.parametrize(
    ("count", "frames"), [(1, [0]), (5, [0, 2, 4]), (9, [0, 6, 8]), (17, [0, 10, 16])]
)
def test_frames_are_the_first_one_inside_a_group_of_four_and_the_last(count, frames):
    assert choose_frames(count) == frames


def test_a_sheet_is_never_wider_than_its_bound_nor_longer_than_its_rows(tmp_path):
    many = torch.zeros(40, 3, 5, 200, 300)
    sheet = draw(tmp_path / "sheet.png", many, many)
    width = (MOST_WIDE + GAP) // 9 - GAP
    assert sheet.shape[1] <= MOST_WIDE
    assert sheet.shape[0] == 12 * (round(200 * width / 300) + CAPTION)


def test_a_failed_write_leaves_the_old_sheet_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "sheet.png"
    path.write_bytes(b"old")

    def fail(descriptor):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        draw_contact_sheet(torch.zeros(1, 3, 1, 8, 8), torch.zeros(1, 3, 1, 8, 8), path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_clips_and_reconstructions_of_different_shapes_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"got crops of \[1, 3, 1, 8, 8\] and reconstructions"):
        draw_contact_sheet(
            torch.zeros(1, 3, 1, 8, 8), torch.zeros(1, 3, 1, 8, 9), tmp_path / "s.png"
        )
