"""Progress bars, help, JSON and the exit status of a process."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from odvae_core.commands.output import Result, write_result
from tests.commands.calls import call

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("schedule", "bars"),
    [("stream", ["reconstruct: 100%"]), ("whole", ["encode: ", "decode: ", "reconstruct: 100%"])],
)
def test_a_terminal_gets_bars_that_reach_the_end(
    tmp_path, checkpoint, clip, monkeypatch, schedule, bars
):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    options = ("--schedule", schedule, "--checkpoint", checkpoint)
    assert call("reconstruct", clip, tmp_path / "out.mp4", *options) == 0
    shown = sys.stderr.getvalue()
    assert [bar for bar in bars if bar not in shown] == []
    assert "7/7" in shown


def test_an_infinite_figure_is_legal_json(capsys):
    write_result(Result({"psnr": float("inf"), "path": Path("a")}, []), as_json=True)
    assert json.loads(capsys.readouterr().out) == {"psnr": "inf", "path": "a"}


@pytest.mark.parametrize("command", ["", "reconstruct", "bench"])
def test_help_comes_at_once_and_without_torch(command):
    script = (
        "import sys, time\n"
        "from odvae_core.cli import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as exit:\n    assert exit.code == 0\n"
        "assert 'torch' not in sys.modules and 'av' not in sys.modules\n"
        "assert time.process_time() < 1, time.process_time()\n"
    )
    arguments = [sys.executable, "-c", script, *filter(None, [command]), "--help"]
    result = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "usage: odvae" in result.stdout


def test_the_module_passes_the_exit_status_on(tmp_path):
    arguments = ["-m", "odvae_core", "info", str(tmp_path / "none.safetensors")]
    result = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    assert "none.safetensors" in result.stderr
