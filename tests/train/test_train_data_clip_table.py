"""Clips in columns are the clips that were put in."""

import pickle
from pathlib import Path

from train.data.clip_facts import ClipFacts
from train.data.clip_table import ClipTable, measure_clips
from train.data.clips import FileClip

FOLDER = Path("data", "videos")
EVEN = ClipFacts(180, 240, 0.04, 1 / 24, (), 2**64 - 1)
UNEVEN = ClipFacts(90, 3, 0.0, 0.1, (0.0, 0.1, 0.35), 7)
CLIPS = [
    FileClip("a.mp4", FOLDER / "a.mp4", EVEN, 0, 240),
    FileClip("deep/öä.mp4", FOLDER / "deep" / "öä.mp4", EVEN, 12, 100),
    FileClip("elsewhere.mkv", Path("/other/elsewhere.mkv"), UNEVEN, 1, 2),
    FileClip("a.mp4", FOLDER / "a.mp4", EVEN, 100, 7),
]


def test_every_item_is_the_clip_that_was_put_in():
    table = ClipTable(CLIPS, FOLDER)
    assert list(table) == CLIPS
    assert list(pickle.loads(pickle.dumps(table))) == CLIPS
    assert len(ClipTable([], FOLDER)) == 0


def test_a_table_is_measured_as_a_list_is():
    one, other = measure_clips(ClipTable(CLIPS, FOLDER)), measure_clips(CLIPS)
    assert [column.tolist() for column in one] == [column.tolist() for column in other]
    assert one[0].tolist() == [240, 100, 2, 7]


def test_a_clip_takes_less_than_150_bytes():
    clips = [FileClip(f"folder/clip-{i:07d}.mp4", FOLDER, EVEN, 0, 240) for i in range(1000)]
    clips = [FileClip(c.name, FOLDER / c.name, c.facts, 0, 240) for c in clips]
    assert len(pickle.dumps(ClipTable(clips, FOLDER))) < 150 * len(clips)
