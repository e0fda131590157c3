"""Which clips are listed: everything below a folder, or the rows of a manifest."""

import json

import pytest

from odvae_core.video import ListingError, list_clips, listing


@pytest.fixture
def folder(tmp_path):
    for name in ("b.mp4", "a/deep/c.WEBM", "a/still.png", "notes.txt", ".hidden.mp4", ".d/e.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def list_names(place):
    return [clip.name for clip in list_clips(place)]


def write_lines(path, *lines):
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_a_folder_is_searched_to_its_depths_for_videos_and_pictures(folder):
    assert list_names(folder) == ["a/deep/c.WEBM", "a/still.png", "b.mp4"]
    assert [clip.is_picture for clip in list_clips(folder)] == [False, True, False]
    assert [clip.file for clip in list_clips(folder)][2] == folder / "b.mp4"


def test_a_folder_whose_own_path_is_hidden_is_searched(folder):
    assert list_names(folder / ".d") == ["e.mp4"]


def test_clips_come_in_the_order_of_their_names_on_every_system(tmp_path):
    for name in ("a/b.mp4", "a-b.mp4", "B.mp4", "a.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list_names(tmp_path) == ["B.mp4", "a-b.mp4", "a.mp4", "a/b.mp4"]


def test_a_folder_that_is_named_like_a_clip_is_none(folder):
    (folder / "z.mp4").mkdir()
    assert "z.mp4" not in list_names(folder)


def test_a_folder_without_media_is_refused_with_what_media_are(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ListingError, match=r"lists no video or image; their names end in .*\.mp4"):
        list_clips(tmp_path)


def test_an_id_depends_on_name_and_stretch_alone(folder, tmp_path):
    before = {clip.name: clip.id for clip in list_clips(folder)}
    (folder / "0.mp4").touch()
    after = {clip.name: clip.id for clip in list_clips(folder)}
    assert {name: after[name] for name in before} == before
    assert len(set(after.values())) == 4
    listed = write_lines(tmp_path / "list.csv", "path,start,end", "b.mp4,,", "b.mp4,1,2")
    whole, part = list_clips(listed)
    assert whole.id == before["b.mp4"]
    assert part.id != whole.id


def test_an_id_stays_what_it_was_when_latents_were_made_of_it(tmp_path):
    listed = write_lines(tmp_path / "list.csv", "path,start,end", "a/b.mp4,,", "a/b.mp4,1,2.5")
    assert [clip.id for clip in list_clips(listed)] == ["b-481710f2447cd02e", "b-6ee65b7b5660f935"]


def test_an_id_is_a_plain_name_however_a_file_is_called(tmp_path):
    (tmp_path / f"{'ä' * 90} no. 1.x.mp4").touch()
    (clip,) = list_clips(tmp_path)
    assert clip.id.replace("-", "_").replace("_", "").isalnum()
    assert clip.id.isascii()
    assert len(clip.id) <= 81


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "byte order mark"])
@pytest.mark.parametrize("suffix", [".csv", ".JSONL"])
def test_a_manifest_gives_stretches_and_columns_of_its_own(folder, suffix, mark):
    rows = [
        {"path": "b.mp4", "start": 1.5, "end": 4, "caption": "a duck,\u2028swimming"},
        {"path": "a/still.png", "caption": None},
    ]
    lines = {
        ".csv": [
            "path,start,end,caption",
            'b.mp4,1.5,4,"a duck,\u2028swimming"',
            "a/still.png,,,",
        ],
        ".JSONL": [*(json.dumps(row, ensure_ascii=False) for row in rows), ""],
    }
    first, *others = lines[suffix]
    manifest = write_lines(folder / f"list{suffix}", mark + first, *others)
    first, second = list_clips(manifest)
    assert (first.name, first.start, first.end) == ("b.mp4", 1.5, 4.0)
    assert first.file == folder / "b.mp4"
    assert first.columns == {"caption": "a duck,\u2028swimming"}
    assert (second.name, second.start, second.end, second.columns) == ("a/still.png", 0, None, {})


@pytest.mark.parametrize(
    ("name", "lines", "message"),
    [
        ("a.csv", ["file", "b.mp4"], r"first line is \['file'\]; it must name the columns: path"),
        ("a.csv", [], "first line is None"),
        ("a.csv", ["path", "b.mp4,a duck"], r"line 2: has more fields .*\['a duck'\]"),
        ("a.csv", ["path,caption", "b.mp4,x", 'c.mp4,"a', "d.mp4,y"], "line 3: unexpected end"),
        ("a.csv", ["path,caption", ",a duck"], "line 2: got the path None; give a file"),
        ("a.csv", ["path,start", "b.mp4,soon"], "line 2: got the start 'soon'; give seconds"),
        ("a.csv", ["path,start", "b.mp4,-1"], "line 2: got the start '-1'"),
        ("a.csv", ["path,start", "b.mp4,nan"], "line 2: got the start 'nan'"),
        ("a.csv", ["path,start,end", "b.mp4,2,2"], "line 2: ends at 2.0 s but starts at 2.0 s"),
        ("a.csv", ["path,end", "b.mp4,inf"], "line 2: got the end 'inf'"),
        ("a.jsonl", ['{"path": "b.mp4"}', "", "c.mp4"], r"line 3: not JSON .*'c.mp4'; correct"),
        ("a.jsonl", ['["b.mp4"]'], r"line 1: got .*b.mp4.*; write it as {\"path\": ...}"),
        ("a.jsonl", ['{"path": 3}'], "line 1: got the path 3"),
        ("a.jsonl", ['{"path": ""}'], "line 1: got the path ''"),
        ("a.jsonl", ['{"path": "b.mp4", "end": [1]}'], r"line 1: got the end \[1\]"),
        ("a.csv", ["path", "b.mp4", "b.mp4"], "lists b.mp4 twice"),
        ("a.jsonl", ['{"path": "b.mp4", "start": 1e999}'], "line 1: got the start inf"),
        ("a.jsonl", [f'{{"path": "b.mp4", "end": {"9" * 4000}}}'], "line 1: got the end 9{,100};"),
        ("a.jsonl", [f'{{"path": "b.mp4", "end": {"9" * 9000}}}'], "line 1: not JSON"),
        ("a.jsonl", ["[" * 200_000], r"line 1: not JSON .{,400}; correct"),
        ("a.jsonl", [r'{"path": "\u0000.mp4"}'], "line 1: got the path .*; give a file"),
        ("a.jsonl", [r'{"path": "\ud800.mp4"}'], "line 1: got the path .*; give a file"),
        ("a.csv", ["path", "b" * 5000], "line 2: got the path 'b{,100}; give a file"),
        ("a.csv", ["path"], "lists no video or image"),
    ],
)
def test_a_bad_manifest_is_refused_with_the_line(folder, name, lines, message):
    with pytest.raises(ListingError, match=message):
        list_clips(write_lines(folder / name, *lines))


def test_a_folder_of_too_many_files_or_too_deep_a_one_is_refused(tmp_path, monkeypatch):
    deep = tmp_path.joinpath(*["d"] * 4)
    deep.mkdir(parents=True)
    (deep / "clip.mp4").touch()
    assert len(list_clips(tmp_path)) == 1
    monkeypatch.setattr(listing, "DEEPEST_FOLDER", 3)
    with pytest.raises(ListingError, match="is 3 folders deep and has subfolders"):
        list_clips(tmp_path)
    monkeypatch.setattr(listing, "MOST_FILES", 2)
    with pytest.raises(ListingError, match="has more than 2 files; give its subfolders"):
        list_clips(tmp_path)


def test_a_manifest_in_another_encoding_is_refused(folder):
    (folder / "a.csv").write_bytes("path\nä.mp4\n".encode("latin-1"))
    with pytest.raises(ListingError, match=r"a.csv: is not UTF-8 .*; save it as UTF-8"):
        list_clips(folder / "a.csv")


@pytest.mark.parametrize("name", ["b.mp4", "none.csv", "none"])
def test_what_is_neither_folder_nor_manifest_is_refused(folder, name):
    with pytest.raises(ListingError, match=f"{name}: neither a folder nor a manifest"):
        list_clips(folder / name)
