"""The papers' findings in small: experiments run, report, and say when something wasn't shown."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from odvae_core import Whole, build
from tests.media import make_clip
from train.config import EvaluationConfig, ModelConfig, OptimiserConfig, Phase
from train.reproduce import __main__ as command
from train.reproduce import course, figure_4, performing, table_3, table_4, variants
from train.reproduce.clips import prepare_clips
from train.reproduce.finding import Check, Finding, Table
from train.reproduce.report import draw_table
from train.reproduce.scene import SIDE, Scene

ROOT = Path(__file__).resolve().parents[2]
TINY = ModelConfig("odvae-tiny", {"width": 8, "norm_groups": 4})


def draw_waves(seed, frames=70):
    """Waves that run over the picture, uint8 [144, 192, 3] each."""
    y, x = np.mgrid[:144, :192] / 144
    for t in range(frames):
        waves = [np.sin(9 * x + (4 + c + seed) * y - (0.1 + 0.1 * seed) * t) for c in range(3)]
        yield (127.5 + 120 * np.stack(waves, axis=-1)).astype(np.uint8)


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A folder with three clips."""
    folder = tmp_path_factory.mktemp("given")
    for seed in range(3):
        make_clip(folder / f"waves-{seed}.mp4", list(draw_waves(seed)))
    return folder


@pytest.fixture
def scene(given, tmp_path):
    return Scene(prepare_clips(given, [], tmp_path)[0], tmp_path, steps_factor=0.001)


@pytest.fixture(scope="module")
def reproduced(given, tmp_path_factory):
    """The status and the folder of all experiments, with trainings of two steps."""
    folder = tmp_path_factory.mktemp("reproduced")
    words = [str(given), "--output", str(folder), "--steps-factor", "0.001"]
    threads = str(torch.get_num_threads())
    return command.main([*words, "--threads", threads]), folder


@pytest.fixture
def claim(monkeypatch, given, tmp_path):
    """The status of a call whose only experiment makes these checks."""

    def run(*passed):
        checks = [Check(f"claim {number}", each) for number, each in enumerate(passed)]
        finding = Finding("A claim", "It is tried.", [], [], checks)
        monkeypatch.setattr(performing, "EXPERIMENTS", {"claim": lambda scene: finding})
        return command.main([str(given), "--output", str(tmp_path)])

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
    assert "seed 0, 1 of 3 clips held out, trainings 0.001 times as long as meant" in page
    assert f"torch {torch.__version__}" in page


def test_the_report_has_every_number_as_json_too(reproduced):
    _, folder = reproduced
    findings = json.loads((folder / "report.json").read_text())["findings"]
    assert list(findings) == list(performing.EXPERIMENTS)
    for finding in findings.values():
        for table in finding["tables"]:
            assert {len(row) for row in table["rows"]} == {len(table["header"])}
            numbers = [cell for row in table["rows"] for cell in row[1:]]
            assert all(math.isfinite(number) for number in numbers)


def test_the_figures_lie_beside_the_report(reproduced):
    _, folder = reproduced
    names = [f"{name}.png" for name in ("figure-4", "figure-4-variants", "figure-4-operations")]
    assert sorted(path.name for path in folder.glob("*.png")) == sorted(names)
    page = (folder / "report.md").read_text()
    assert all(f"]({name})" in page for name in names)


def test_two_steps_show_no_trend_and_the_call_says_so(reproduced):
    status, folder = reproduced
    assert status == 1
    assert (
        "**not shown**: tail ends ahead of average by 0.5 dB" in (folder / "report.md").read_text()
    )


def test_the_starts_are_compared_from_their_first_step_on_one_parent(reproduced):
    _, folder = reproduced
    table = json.loads((folder / "report.json").read_text())["findings"]["figure-4"]["tables"][0]
    assert table["header"] == ["start", "0", "2"]
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
        (["--held-out", "street-*"], "--held-out street-* names none of waves-0.mp4"),
    ],
)
def test_a_wrong_call_is_status_2(given, tmp_path, capsys, words, error):
    assert command.main([str(given), "--output", str(tmp_path), *words]) == 2
    assert error in capsys.readouterr().err


def test_without_clips_the_call_asks_for_them(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(command, "CLIPS", tmp_path / "none")
    assert command.main(["--output", str(tmp_path)]) == 2
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


@pytest.mark.parametrize(("lead", "passed"), [(0.5, True), (0.49, False)])
def test_tail_must_be_half_a_decibel_ahead_of_average(lead, passed):
    checks = figure_4.check_order({"tail": 20 + lead, "average": 20.0, "random": 12.0})
    assert [check.passed for check in checks] == [passed, True, True]


@pytest.mark.parametrize(("random", "passed"), [(19.0, True), (19.01, False)])
def test_tail_must_be_a_decibel_ahead_of_random(random, passed):
    checks = figure_4.check_order({"tail": 20.0, "average": 19.4, "random": random})
    assert [check.passed for check in checks] == [True, passed, True]


def test_variant_4_must_be_near_variant_1_and_ahead_of_variant_3():
    assert all(check.passed for check in variants.check_choice(22.0, 21.0, 21.5, 21.8))
    assert [check.passed for check in variants.check_choice(22.0, 21.0, 21.5, 21.5)] == [
        False,
        False,
    ]


def configure(scene):
    phase = Phase(until_step=4, batch=2, frames=5, size=16)
    small = EvaluationConfig(sides=(SIDE,), frames=5, size=16)
    optimiser = OptimiserConfig(learning_rate=1e-3)
    whole = replace(scene, steps_factor=1)
    return course.configure(whole, "small", TINY, phase, optimiser, 2, evaluation=small)


def test_a_course_has_the_start_and_every_evaluation(scene):
    followed = course.follow(configure(scene))
    assert list(followed.evaluations) == [0, 2, 4]
    assert followed.last == followed.evaluations[4]
    assert followed.trace() == ([0, 2, 4], [followed.evaluations[n]["psnr"] for n in (0, 2, 4)])
    assert followed.weights.exists()


def test_a_finished_course_is_not_trained_again(scene, monkeypatch):
    config = configure(scene)
    before = course.follow(config)
    monkeypatch.delattr(course, "carry_out")
    assert course.follow(config) == before


def test_a_course_that_a_signal_ended_early_stops_the_experiment(scene, monkeypatch):
    monkeypatch.setattr(course, "carry_out", lambda run: run)
    with pytest.raises(KeyboardInterrupt):
        course.follow(configure(scene))


def test_other_settings_are_another_folder(scene):
    folder = configure(scene).run.folder
    assert configure(scene).run.folder == folder
    assert configure(replace(scene, seed=1)).run.folder != folder


@torch.no_grad()
def count_by_layers(vae, video, latent):
    """Multiply-adds of encoder and decoder, from the sizes of what each convolution gives."""
    counts = []

    def note(conv, inputs, output):
        counts[-1] += output.numel() * conv.weight[0].numel()

    hooks = [
        module.register_forward_hook(note)
        for module in vae.modules()
        if isinstance(module, nn.Conv2d | nn.Conv3d)
    ]
    for run, given in ((vae.encode, video), (vae.decode, latent)):
        counts.append(0)
        run(given)
    assert hooks
    return tuple(count / 1e12 for count in counts)


@pytest.mark.parametrize("preset", table_3.VARIANTS.values())
def test_the_counter_sees_every_multiply_add_of_every_convolution(preset):
    with torch.device("meta"):
        vae = build(preset)
        video, latent = torch.empty(1, 3, 25, 256, 256), torch.empty(1, 4, 7, 32, 32)
    assert table_3.count_operations(preset) == count_by_layers(vae, video, latent)


def test_the_variants_operations_are_those_counted_from_the_papers_tables():
    counts = [table_3.count_operations(preset) for preset in table_3.VARIANTS.values()]
    assert counts[0] == pytest.approx((7.40, 17.28), rel=0.005)
    assert counts[1] == pytest.approx((4.82, 13.45), rel=0.005)
    parts = [(encoder / counts[0][0], decoder / counts[0][1]) for encoder, decoder in counts]
    assert parts[1] == pytest.approx((0.6532, 0.7790), abs=1e-4)
    assert parts[2] == pytest.approx((0.5095, 0.6081), abs=1e-4)
    assert parts[3] == pytest.approx((0.5095, 1.0), abs=1e-4)


def test_a_sweep_is_equal_and_windows_differ_on_random_weights():
    torch.manual_seed(0)
    vae = build(replace(build("odvae-v1.2").config, width=8, blocks=1, norm_groups=4)).eval()
    crops = torch.rand(1, 3, 33, 16, 16) * 2 - 1
    cuts = table_4.measure_all(vae, crops)
    assert cuts["Whole()"].difference == 0
    assert table_4.check_equal("it", "Sweep(9)", cuts).passed
    assert not table_4.check_equal("it", "Windows(9)", cuts).passed


def test_whole_costs_nothing_and_a_lost_decibel_is_too_much():
    cut = table_4.Cut(20.0, 0.0, 0.1, 0.1, 1.0)
    cuts = {"Whole()": cut, "Windows(9)": replace(cut, psnr=19.0)}
    assert table_4.check_cost("Whole()", cuts).passed
    assert not table_4.check_cost("Windows(9)", cuts).passed
    assert isinstance(table_4.SCHEDULES["Whole()"][0], Whole)


def test_a_table_is_written_with_its_digits():
    table = Table("t", ("a", "b", "c"), [("x", 1.0, 3)], digits=1)
    assert draw_table(table) == "| a | b | c |\n|---|---|---|\n| x | 1.0 | 3 |"
