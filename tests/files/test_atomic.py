"""odvae_core/files/atomic.py: files whole or not at all, one writer at a time, no leftovers."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from odvae_core.files.atomic import (
    BusyError,
    clear_leftovers,
    holding,
    name_part,
    replacing,
    write_text,
)

ROOT = Path(__file__).resolve().parents[2]
WRITER = """
import sys, time
from pathlib import Path
from odvae_core.files.atomic import replacing
with replacing(Path(sys.argv[1])) as aside:
    aside.write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other_writer(tmp_path):
    """Another process that is in the midst of writing out.txt."""
    command = [sys.executable, "-c", WRITER, str(tmp_path / "out.txt")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "writing\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def write(path, text):
    with replacing(path) as aside:
        aside.write_text(text)


def test_a_file_appears_when_it_is_whole_and_nothing_else_does(tmp_path):
    path = tmp_path / "out.txt"
    with replacing(path) as aside:
        aside.write_text("whole")
        assert (aside.name, path.exists()) == ("out.txt", False)
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_older_file_and_nothing_else(tmp_path):
    path = tmp_path / "out.txt"
    path.write_text("older")
    with pytest.raises(FileNotFoundError), replacing(path):
        """Nothing is written."""
    with pytest.raises(NotADirectoryError), replacing(path) as aside:
        write(aside, "half") or write(aside / "below a file", "never")
    assert path.read_text() == "older"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "name", ["x" * 255, "ü" * 127, "%d %s.txt", "a:b.txt", ".hidden", os.fsdecode(b"\xff\xfe.txt")]
)
def test_any_name_that_the_system_takes_can_be_written(tmp_path, name):
    write(tmp_path / name, "whole")
    assert (tmp_path / name).read_text() == "whole"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_second_writer_in_the_same_process_is_refused_in_words(tmp_path):
    path = tmp_path / "out.txt"
    with replacing(path) as aside:
        with pytest.raises(BusyError, match=r"out\.txt: another process is writing it; wait"):
            write(path, "second")
        aside.write_text("first")
    assert path.read_text() == "first"


def test_a_second_writer_in_another_process_is_refused_and_changes_nothing(tmp_path, other_writer):
    with pytest.raises(BusyError, match="another process is writing it"):
        write(tmp_path / "out.txt", "second")
    clear_leftovers(tmp_path)
    assert other_writer.poll() is None
    assert (name_part(tmp_path / "out.txt") / "out.txt").read_text() == "half"


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path, other_writer):
    other_writer.send_signal(signal.SIGKILL)
    other_writer.wait()
    assert [path.suffix for path in tmp_path.iterdir()] == [".part"]
    write(tmp_path / "out.txt", "whole")
    assert (tmp_path / "out.txt").read_text() == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["out.txt"]


def test_leftovers_are_cleared_and_other_folders_stay(tmp_path, other_writer):
    other_writer.send_signal(signal.SIGKILL)
    other_writer.wait()
    (tmp_path / ".mine.part").mkdir()
    (tmp_path / ".mine.0123456789abcdef.part").write_text("a file")
    clear_leftovers(tmp_path)
    names = {".mine.part", ".mine.0123456789abcdef.part"}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_many_writers_of_a_text_take_turns(tmp_path):
    path = tmp_path / "list.txt"
    texts = [str(number) * 100_000 for number in range(8)]
    threads = [threading.Thread(target=write_text, args=(path, text)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in texts
    assert list(tmp_path.iterdir()) == [path]


def test_a_held_name_is_nobody_elses_and_holding_writes_nothing(tmp_path):
    path = tmp_path / "journal"
    with holding(path), pytest.raises(BusyError), holding(path):
        pass
    assert list(tmp_path.iterdir()) == []
