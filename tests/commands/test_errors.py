"""Invalid calls and failures: one line on stderr, and no partial output."""

import pytest
import torch

from odvae_core.commands import model, reconstruct
from odvae_core.video import read_video
from tests.commands.calls import call, draw_clip, write_clip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--frames", 6), "1 + 4k"),
        (("--schedule", "whole", "--frames", 5), "takes none: leave frames out"),
        (("--tile", 20), "multiples of 8"),
        (("--overlap", 8), "without tiles"),
        (("--device", "abacus"), "try --device cpu"),
        (("--checkpoint", "none.safetensors"), "none.safetensors"),
        (("--start", 1000), "start earlier"),
        (("--crop", "64x64"), "cannot crop 64x64"),
    ],
)
def test_bad_options_are_one_line_and_status_2_and_leave_no_file(
    tmp_path, checkpoint, clip, capsys, options, message
):
    output = tmp_path / "out.mp4"
    assert call("reconstruct", clip, output, "--checkpoint", checkpoint, *options) == 2
    captured = capsys.readouterr()
    *_, last = captured.err.splitlines()
    assert message in last
    assert "Traceback" not in captured.err
    assert captured.out == ""
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_exists_is_kept_unless_told(tmp_path, checkpoint, clip, capsys):
    output = tmp_path / "out.mp4"
    output.write_text("precious")
    assert call("reconstruct", clip, output, "--checkpoint", checkpoint) == 2
    assert "exists; give another name, or add --overwrite" in capsys.readouterr().err
    assert output.read_text() == "precious"
    assert call("reconstruct", clip, output, "--checkpoint", checkpoint, "--overwrite") == 0
    assert read_video(output).shape[2] == 7


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("clip.mp4", "input and output"),
        ("nowhere/out.mp4", "its folder doesn't exist"),
        ("out.avi", ".mp4"),
        (".", "is a folder"),
    ],
)
def test_an_output_that_cannot_be_is_refused(tmp_path, checkpoint, capsys, output, message):
    clip = tmp_path / "clip.mp4"
    write_clip(clip, draw_clip(5, 16, 16))
    before = clip.read_bytes()
    options = ("--checkpoint", checkpoint, "--overwrite")
    assert call("reconstruct", clip, tmp_path / output, *options) == 2
    assert message in capsys.readouterr().err
    assert clip.read_bytes() == before
    assert list(tmp_path.iterdir()) == [clip]


def test_a_missing_input_is_refused(tmp_path, checkpoint, capsys):
    assert call("encode", tmp_path / "none.mp4", tmp_path / "a.safetensors") == 2
    assert "no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status"), [(RuntimeError("the disk melts"), 1), (KeyboardInterrupt(), 130)]
)
def test_a_failure_half_way_leaves_no_file(
    tmp_path, checkpoint, clip, monkeypatch, capsys, error, status
):
    written = []

    def fail_at_the_third(self, video, times=None):
        written.append(video)
        if len(written) == 3:
            raise error

    monkeypatch.setattr(reconstruct.VideoWriter, "write", fail_at_the_third)
    arguments = ("reconstruct", clip, tmp_path / "out.mp4", "--checkpoint", checkpoint)
    assert call(*arguments) == status
    assert "Traceback" not in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_traceback_is_shown_where_asked_for(tmp_path, capsys, monkeypatch):
    missing = tmp_path / "none.safetensors"
    assert call("info", missing, "--debug") == 2
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("ODVAE_DEBUG", "1")
    assert call("info", missing) == 2
    assert "Traceback" in capsys.readouterr().err


def test_running_out_of_memory_says_what_to_set(tmp_path, checkpoint, clip, monkeypatch, capsys):
    def fail(*_arguments):
        raise torch.OutOfMemoryError("tried to allocate 9 GiB")

    monkeypatch.setattr(model.Model, "encode", fail)
    arguments = ("reconstruct", clip, tmp_path / "out.mp4", "--checkpoint", checkpoint)
    assert call(*arguments) == 1
    assert "set a smaller --tile, fewer --frames" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("sing",),
        ("reconstruct", "clip.mp4"),
        ("info", "--frames", "0"),
        ("encode", "a", "b", "--frames", "0"),
        ("encode", "a", "b", "--size", "20"),
        ("encode", "a", "b", "--start", "-1"),
        ("encode", "a", "b", "--seed", "x"),
        ("encode", "a", "b", "--seed", "9" * 20),
        ("encode", "a", "b", "--max-frames", "9" * 12),
        ("encode", "a", "b", "--stride", "9" * 5000),
        ("encode", "a", "b", "--start", "1e999999999"),
        ("encode", "a", "b", "--start", "1e300"),
        ("encode", "a", "b", "--size", "8x٣"),
    ],
)
def test_a_wrong_call_ends_with_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as exit:
        call(*arguments)
    assert exit.value.code == 2
    assert "usage: odvae" in capsys.readouterr().err
