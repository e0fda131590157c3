"""The command `train.reproduce`: experiments run, write a report, and name failed checks."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.media import make_clip
from train.config import EvaluationConfig, ModelConfig, OptimiserConfig, Phase
from train.reproduce import __main__ as command
from train.reproduce import experiments, training
from train.reproduce.clips import prepare_clips
from train.reproduce.experiment import SIDE, Check, Experiment, ExperimentResult

ROOT = Path(__file__).resolve().parents[2]
TINY = ModelConfig("odvae-tiny", {"width": 8, "norm_groups": 4})


def draw_waves(seed, frames=70):
    """Moving waves, uint8 [144, 192, 3] each."""
    y, x = np.mgrid[:144, :192] / 144
    for t in range(frames):
        waves = [np.sin(9 * x + (4 + c + seed) * y - (0.1 + 0.1 * seed) * t) for c in range(3)]
        yield (127.5 + 120 * np.stack(waves, axis=-1)).astype(np.uint8)


def call(*words):
    """The exit status of the command, with the threads of the other tests."""
    return command.main([*map(str, words), "--threads", str(torch.get_num_threads())])


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A folder with three clips."""
    folder = tmp_path_factory.mktemp("given")
    for seed in range(3):
        make_clip(folder / f"waves-{seed}.mp4", list(draw_waves(seed)))
    return folder


@pytest.fixture
def experiment(given, tmp_path):
    return Experiment(prepare_clips(given, [], tmp_path)[0], tmp_path, steps_factor=0.001)


@pytest.fixture(scope="module")
def reproduced(given, tmp_path_factory):
    """The status and the folder of all experiments, with trainings of two steps."""
    folder = tmp_path_factory.mktemp("reproduced")
    return call(given, "--output", folder, "--steps-factor", 0.001), folder


@pytest.fixture
def claim(monkeypatch, given, tmp_path):
    """The status of a call whose only experiment makes these checks."""

    def run(*passed):
        checks = [Check(f"claim {number}", each) for number, each in enumerate(passed)]
        result = ExperimentResult("A claim", "It is tried.", [], [], checks)
        monkeypatch.setattr(experiments, "EXPERIMENTS", {"claim": lambda experiment: result})
        return call(given, "--output", tmp_path)

    return run


def test_every_experiment_is_in_the_report(reproduced):
    _, folder = reproduced
    page = (folder / "report.md").read_text()
    headings = [line for line in page.splitlines() if line.startswith("## ")]
    assert [heading.split(":")[0] for heading in headings] == [
        "## Figure 4",
        "## Table 4",
        "## Table 3",
        "## Figure 4",
    ]
    assert "seed 0, 1 of 3 clips held out, trainings 0.001 times as long as the default" in page
    assert f"torch {torch.__version__}" in page


def test_the_report_has_every_number_as_json_too(reproduced):
    _, folder = reproduced
    results = json.loads((folder / "report.json").read_text())["findings"]
    assert list(results) == list(experiments.EXPERIMENTS)
    for result in results.values():
        for table in result["tables"]:
            assert {len(row) for row in table["rows"]} == {len(table["header"])}
            numbers = [cell for row in table["rows"] for cell in row[1:]]
            assert all(math.isfinite(number) for number in numbers)


def test_the_figures_lie_beside_the_report(reproduced):
    _, folder = reproduced
    names = [f"{name}.png" for name in ("figure-4", "figure-4-variants", "figure-4-operations")]
    assert sorted(path.name for path in folder.glob("*.png")) == sorted(names)
    page = (folder / "report.md").read_text()
    assert all(f"]({name})" in page for name in names)


def test_the_status_and_the_page_agree_on_failed_checks(reproduced):
    status, folder = reproduced
    page = (folder / "report.md").read_text()
    results = json.loads((folder / "report.json").read_text())["findings"].values()
    checks = [check for result in results for check in result["checks"]]
    assert status == int(not all(check["passed"] for check in checks))
    for check in checks:
        assert f"* {'shown' if check['passed'] else '**not shown**'}: {check['sentence']}" in page


def test_the_starts_are_compared_from_their_first_step_on_one_parent(reproduced):
    _, folder = reproduced
    table = json.loads((folder / "report.json").read_text())["findings"]["figure-4"]["tables"][0]
    assert table["header"] == ["start", "0", "1", "2"]
    assert [row[0] for row in table["rows"]] == ["tail", "average", "random"]
    assert len(list(folder.glob("parent-*"))) == 1


def test_all_checks_passed_is_status_0_and_one_failed_is_1(claim, capsys):
    assert claim(True, True) == 0
    assert claim(True, False) == 1
    assert "NOT SHOWN: claim 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--only", "figure-5"], "--only got 'figure-5'; the experiments are figure-4, table-4"),
        (["--held-out", "street-*"], "--held-out street-* matches none of waves-0.mp4"),
    ],
)
def test_an_invalid_call_is_status_2(given, tmp_path, capsys, words, error):
    assert call(given, "--output", tmp_path, *words) == 2
    assert error in capsys.readouterr().err


def test_without_clips_the_error_names_the_argument(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(command, "CLIPS", tmp_path / "none")
    assert call("--output", tmp_path) == 2
    assert "name a folder with clips" in capsys.readouterr().err


def test_help_needs_no_torch():
    code = (
        "import sys; sys.argv = ['reproduce', '--help']\n"
        "from train.reproduce.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: raise SystemExit('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "--held-out" in run.stdout


def configure_training(experiment):
    phase = Phase(until_step=4, batch=2, frames=5, size=16)
    small = EvaluationConfig(sides=(SIDE,), frames=5, size=16)
    optimiser = OptimiserConfig(learning_rate=1e-3)
    whole = replace(experiment, steps_factor=1)
    return training.configure_training(whole, "small", TINY, phase, optimiser, 2, evaluation=small)


def test_a_training_result_has_the_start_and_every_evaluation(experiment):
    followed = training.train_to_end(configure_training(experiment))
    assert list(followed.evaluations) == [0, 1, 2, 4]
    assert followed.last == followed.evaluations[4]
    steps = [0, 1, 2, 4]
    assert followed.curve() == (steps, [followed.evaluations[n]["psnr"] for n in steps])
    assert followed.weights.exists()


def test_a_finished_training_is_not_trained_again(experiment, monkeypatch):
    config = configure_training(experiment)
    before = training.train_to_end(config)
    monkeypatch.delattr(training, "train_run")
    assert training.train_to_end(config) == before


def test_a_training_that_a_signal_ended_early_stops_the_experiment(experiment, monkeypatch):
    monkeypatch.setattr(training, "train_run", lambda run: run)
    with pytest.raises(KeyboardInterrupt):
        training.train_to_end(configure_training(experiment))


def test_other_settings_are_another_folder(experiment):
    folder = configure_training(experiment).run.folder
    assert configure_training(experiment).run.folder == folder
    assert configure_training(replace(experiment, seed=1)).run.folder != folder
