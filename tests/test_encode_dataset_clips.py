"""What a dataset of clips is: everything below a folder, or the rows of a manifest."""

import json

import pytest

from odvae_core.dataset import DatasetError, list_clips


@pytest.fixture
def folder(tmp_path):
    for name in ("b.mp4", "a/deep/c.WEBM", "a/still.png", "notes.txt", ".hidden.mp4", ".d/e.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def list_paths(place):
    return [clip.path for clip in list_clips(place)]


def write_lines(path, *lines):
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_a_folder_is_searched_to_its_depths_for_videos_and_pictures(folder):
    assert list_paths(folder) == ["a/deep/c.WEBM", "a/still.png", "b.mp4"]
    assert [clip.is_picture for clip in list_clips(folder)] == [False, True, False]


def test_an_id_depends_on_path_and_stretch_alone(folder, tmp_path):
    before = {clip.path: clip.id for clip in list_clips(folder)}
    (folder / "0.mp4").touch()
    after = {clip.path: clip.id for clip in list_clips(folder)}
    assert {path: after[path] for path in before} == before
    assert len(set(after.values())) == 4
    listed = write_lines(tmp_path / "list.csv", "path,start,end", "b.mp4,,", "b.mp4,1,2")
    whole, part = list_clips(listed)
    assert whole.id == before["b.mp4"]
    assert part.id != whole.id


def test_an_id_is_a_plain_name_however_a_file_is_called(tmp_path):
    (tmp_path / f"{'ä' * 90} no. 1.x.mp4").touch()
    (clip,) = list_clips(tmp_path)
    assert clip.id.replace("-", "_").replace("_", "").isalnum()
    assert clip.id.isascii()
    assert len(clip.id) <= 81


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_manifest_gives_stretches_and_columns_of_its_own(folder, suffix):
    rows = [
        {"path": "b.mp4", "start": 1.5, "end": 4, "caption": "a duck, swimming"},
        {"path": "a/still.png"},
    ]
    lines = {
        ".csv": ["path,start,end,caption", 'b.mp4,1.5,4,"a duck, swimming"', "a/still.png,,,"],
        ".jsonl": [json.dumps(row) for row in rows] + [""],
    }
    first, second = list_clips(write_lines(folder / f"list{suffix}", *lines[suffix]))
    assert (first.path, first.start, first.end) == ("b.mp4", 1.5, 4.0)
    assert first.file == folder / "b.mp4"
    assert first.columns == {"caption": "a duck, swimming"}
    assert (second.path, second.start, second.end, second.columns) == ("a/still.png", 0, None, {})


@pytest.mark.parametrize(
    ("name", "lines", "message"),
    [
        ("a.csv", ["file", "b.mp4"], "line 2: .*which has no `path`"),
        ("a.csv", ["path,start", "b.mp4,soon"], "line 2: could not convert"),
        ("a.csv", ["path,start", "b.mp4,-1"], "line 2: got start -1.0"),
        ("a.csv", ["path,start,end", "b.mp4,2,2"], "start 2.0 and end 2.0: .* before end"),
        ("a.csv", ["path,start", "b.mp4,nan"], "got start nan"),
        ("a.jsonl", ['{"path": "b.mp4"}', "b.mp4"], "line 2: got 'b.mp4'"),
        ("a.jsonl", ['{"path": 3}'], "line 1: got .*no `path`"),
        ("a.csv", ["path", "b.mp4", "b.mp4"], "lists b.mp4 twice"),
        ("a.csv", ["path", "b.mp4,a duck"], "line 2: has more fields .*a duck"),
        ("a.csv", ["path"], "lists no video or picture"),
    ],
)
def test_a_bad_manifest_is_refused_with_the_line(folder, name, lines, message):
    with pytest.raises(DatasetError, match=message):
        list_clips(write_lines(folder / name, *lines))


def test_a_manifest_in_another_encoding_is_refused(folder):
    (folder / "a.csv").write_bytes("path\nä.mp4\n".encode("latin-1"))
    with pytest.raises(DatasetError, match=r"a.csv, line 0: 'utf-8' codec can't decode"):
        list_clips(folder / "a.csv")


@pytest.mark.parametrize("name", ["b.mp4", "none.csv", "none"])
def test_what_is_neither_folder_nor_manifest_is_refused(folder, name):
    with pytest.raises(DatasetError, match="neither a folder nor a manifest"):
        list_clips(folder / name)
