"""Signals, concurrent writers, and a closed stderr or stdout."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from odvae_core import cli
from odvae_core.commands.output import BestEffortStream, write_stdout
from odvae_core.files.atomic import holding, name_part
from odvae_core.video import VideoReader
from tests.media import draw_noise, make_clip

ROOT = Path(__file__).resolve().parents[2]
FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")

# Runs the command and says when the first frame is written; then frames come slowly.
SLOW = """
import sys, time
from odvae_core import cli
from odvae_core.video import VideoWriter
write = VideoWriter.write
def write_slowly(self, video, times=None):
    write(self, video, times)
    print("writing", flush=True)
    time.sleep(60)
VideoWriter.write = write_slowly
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.fixture
def clip(tmp_path):
    return make_clip(tmp_path / "clip.mp4", draw_noise(5, 16, 16))


def call(*arguments):
    return cli.main([str(argument) for argument in arguments])


def run(*arguments, **streams):
    command = [sys.executable, "-m", "odvae_core", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, check=False, text=True, **streams)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs POSIX signals")
def test_sigterm_ends_a_run_in_words_and_leaves_no_file(tmp_path, clip):
    command = [sys.executable, "-c", SLOW, "reconstruct", str(clip), str(tmp_path / "out.mp4")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as process:
        assert process.stdout.readline() == "writing\n"
        assert name_part(tmp_path / "out.mp4").is_dir()
        process.terminate()
        _, shown = process.communicate()
    assert process.returncode == 143
    assert "no partial output was left" in shown
    assert "Traceback" not in shown
    assert list(tmp_path.iterdir()) == [clip]


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs POSIX signals")
def test_a_signal_that_is_ignored_stays_ignored_and_handlers_are_put_back(monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with cli.raise_on_signals():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            with pytest.raises(cli.Terminated, match="terminated by SIGTERM") as terminated:
                os.kill(os.getpid(), signal.SIGTERM)
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN  # while it is cleaned up
        assert terminated.value.status == 143
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("command", "name"), [("reconstruct", "out.mp4"), ("encode", "out.safetensors")]
)
def test_a_second_writer_of_an_output_is_refused_before_any_work(
    tmp_path, clip, capsys, monkeypatch, command, name
):
    monkeypatch.setattr(VideoReader, "chunks", None)  # not one frame is read
    with holding(tmp_path / name):
        assert call(command, clip, tmp_path / name) == 2
    assert f"{name}: another process is writing it; wait for it" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [clip]


def test_a_second_evaluation_into_a_journal_is_refused(tmp_path, clip, capsys):
    journal = tmp_path / "journal.jsonl"
    options = ("--frames-per-clip", 5, "--size", 16, "--baseline", "bicubic-mean")
    with holding(journal):
        assert call("evaluate", clip, *options, "--journal", journal) == 2
    assert "another process is writing it" in capsys.readouterr().err
    assert not journal.exists()


def test_what_a_killed_run_left_beside_an_output_is_removed(tmp_path, clip):
    leftover = name_part(tmp_path / "another.mp4")
    leftover.mkdir()
    (leftover / "another.mp4").write_bytes(b"half")
    assert call("encode", clip, tmp_path / "out.safetensors") == 0
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mp4", "out.safetensors"}


@pytest.mark.parametrize("name", ["%03d.mp4", "a:b ü.mkv", "x" * 251 + ".mp4"])
def test_outputs_of_any_name_are_written(tmp_path, clip, name):
    assert call("reconstruct", clip, tmp_path / name) == 0
    assert VideoReader(tmp_path / name).size == (16, 16)
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mp4", name}


def test_names_that_no_system_takes_and_pipes_are_refused(tmp_path, clip, capsys):
    assert call("encode", clip, tmp_path / ("x" * 256)) == 2
    assert "a name of more than 255 bytes" in capsys.readouterr().err
    os.mkfifo(tmp_path / "pipe.mp4")
    assert call("reconstruct", clip, tmp_path / "pipe.mp4", "--overwrite") == 2
    assert "pipe.mp4: is a device or a pipe" in capsys.readouterr().err
    assert call("encode", tmp_path / "pipe.mp4", tmp_path / "out.safetensors") == 2
    assert "pipe.mp4: is a device or a pipe" in capsys.readouterr().err


@needs_full
def test_a_full_disk_under_stderr_changes_no_run(tmp_path, clip):
    with FULL.open("w") as full:
        assert run("encode", clip, tmp_path / "a.safetensors", stderr=full).returncode == 0
        missing = run("info", tmp_path / "none", stderr=full, stdout=subprocess.PIPE)
    assert (missing.returncode, missing.stdout) == (2, "")


@needs_full
def test_a_stdout_that_takes_no_result_is_a_failure_in_words():
    with FULL.open("w") as full:
        result = run("info", stdout=full, stderr=subprocess.PIPE)
    assert result.returncode == 1
    assert "the result can't be written to stdout (No space left on device)" in result.stderr


def test_a_terminal_that_goes_away_ends_no_run(tmp_path, clip, monkeypatch):
    class Gone:
        encoding = "utf-8"

        def isatty(self):
            return True

        def write(self, text):
            raise BrokenPipeError(32, "Broken pipe")

        flush = write_through = lambda self: self.write("")

    monkeypatch.setattr(sys, "stderr", Gone())
    assert call("reconstruct", clip, tmp_path / "out.mp4") == 0
    monkeypatch.setattr(sys, "stderr", None)
    assert call("info", tmp_path / "none.safetensors") == 2


def test_messages_pass_on_what_can_be_written(capsys):
    stream = BestEffortStream(sys.stderr)
    assert stream.write("as it is\n") == 9
    stream.flush()
    assert capsys.readouterr().err == "as it is\n"
    assert BestEffortStream(None).write("nowhere") == 7


def test_a_name_that_stdout_cannot_show_is_escaped(capsys):
    write_stdout(os.fsdecode(b"\xff.mp4\n"))
    assert capsys.readouterr().out == "\\udcff.mp4\n"
