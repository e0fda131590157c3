"""Reports: the values from a log, the plots, and the self-contained page."""

import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from train.contact_sheet import draw_contact_sheet
from train.report.__main__ import main, parse_arguments, write_report
from train.report.figure import draw_figure, running_mean
from train.report.history import read_histories
from train.report.panels import Line, find_panels
from train.run_log import RunLog

LOGS = Path(__file__).parents[2] / "docs" / "default-model"
CONFIG = {"model": {"preset": "odvae-tiny"}, "phases": [{"until_step": 60}], "run": {"seed": 0}}


def log_run(folder, steps=60, seed=0, **step_values):
    """Write a run folder with a log of a step, an evaluation and a sheet every 20 steps."""
    folder.mkdir()
    run_log = RunLog(folder / "log.jsonl", active=True)
    config = CONFIG | {"run": {"seed": seed}}
    run_log.write("start", step=0, config=config, commit="c0ffee", torch="2.13", data=None)
    for step in range(20, steps + 1, 20):
        run_log.write("step", step=step, total=100 / step, rate=1e-5, skipped=0, **step_values)
        values = {"psnr": 20 + step / 20, "144": 19.0, "positions": [22.0, 21.0, None, 20.0]}
        sheet = f"sheets/step-{step:06d}.png"
        run_log.write("evaluation", step=step, **values, weights="ema", sheet=sheet)
        clip = torch.full((1, 3, 1, 16, 16), step / 100)
        draw_contact_sheet(clip, clip, folder / sheet)
    return folder


def titles(*paths):
    return [panel.title for panel in find_panels(read_histories(list(paths)))]


def test_only_what_was_logged_is_drawn(tmp_path):
    plain = log_run(tmp_path / "plain")
    adversarial = log_run(tmp_path / "gan", logits_real=1.0, logits_fake=-1.0, adaptive_weight=30.0)
    assert titles(plain) == [
        "held-out PSNR, dB",
        "held-out PSNR by short side, dB",
        "held-out PSNR: frame 0, frames of a group",
        "total loss",
        "learning rate",
        "skipped steps",
    ]
    assert set(titles(adversarial)) - set(titles(plain)) == {
        "adaptive weight",
        "the discriminator's logits",
    }


def test_runs_share_a_plot_with_a_colour_for_each(tmp_path):
    runs = [log_run(tmp_path / "a"), log_run(tmp_path / "b", steps=40)]
    psnr = draw_figure(read_histories(runs)).axes[0]
    assert [line.get_label() for line in psnr.lines] == ["a", "b"]
    assert [list(line.get_xdata()) for line in psnr.lines] == [[20, 40, 60], [20, 40]]
    assert len({line.get_color() for line in psnr.lines}) == 2


def test_a_position_in_the_group_without_a_value_is_not_drawn(tmp_path):
    line = draw_figure(read_histories([log_run(tmp_path / "run")])).axes[2].lines[0]
    assert list(line.get_xdata()) == [0, 1, 3]
    assert list(line.get_ydata()) == [22.0, 21.0, 20.0]


def test_a_loss_has_a_logarithmic_axis_unless_it_is_negative_somewhere(tmp_path):
    positive, negative = log_run(tmp_path / "a"), log_run(tmp_path / "b")
    RunLog(negative / "log.jsonl", active=True).write("step", step=80, total=-1.0)
    scales = [
        draw_figure(read_histories([run])).axes[3].get_yscale() for run in (positive, negative)
    ]
    assert scales == ["log", "linear"]


def test_baselines_of_an_evaluation_are_horizontal_lines(tmp_path):
    run = log_run(tmp_path / "run")
    run_log = RunLog(run / "log.jsonl", active=True)
    run_log.write("evaluation", step=80, psnr=24.0, baselines={"bicubic": 20.5})
    axes = draw_figure(read_histories([run])).axes[0]
    assert list(axes.lines[-1].get_ydata()) == [20.5, 20.5]
    assert [text.get_text() for text in axes.texts] == ["bicubic"]


def test_a_noisy_line_is_drawn_with_its_running_mean():
    values = np.arange(40.0)
    x, y = running_mean(Line("", values, values % 2, 0, 0))
    assert (x[0], x[-1], len(x)) == (0.5, 38.5, 39)
    assert y.tolist() == [0.5] * 39


def test_the_page_has_pictures_settings_and_everything_inside(tmp_path):
    run = log_run(tmp_path / "run")
    run_log = RunLog(run / "log.jsonl", active=True)
    run_log.write("skip", step=61, terms=["kl"])
    run_log.write("clip", name="<script>.mp4", reason="2 frames, 9 are needed")
    run_log.write("stop", step=60, reason="end")
    page = write_report([run]).read_text()
    assert (run / "report.html").exists()
    for words in (
        "Stopped at step 61 of 60 (end).",
        "run: held-out clips at step-000060",
        "<td>kl</td><td>1</td>",
        "<td>&lt;script&gt;.mp4</td><td>2 frames, 9 are needed</td>",
        "<td>run.seed</td><td>0</td>",
        "<td>commit</td><td>c0ffee</td>",
    ):
        assert words in page
    assert len(re.findall(r'src="data:image/', page)) == 2
    assert not re.search(r'(src|href)="(?!data:)|<script|@import', page)


def test_settings_in_which_runs_differ_are_marked(tmp_path):
    runs = [log_run(tmp_path / "a"), log_run(tmp_path / "b", seed=1)]
    page = write_report(runs, tmp_path / "both.html").read_text()
    marked = re.findall(r'<tr class="differs"><td>(.*?)</td>', page)
    assert marked == ["run.seed"]


def test_the_same_runs_give_the_same_page(tmp_path):
    run = log_run(tmp_path / "run")
    assert write_report([run]).read_bytes() == write_report([run], tmp_path / "b.html").read_bytes()


def test_a_png_has_the_plots_above_the_last_sheet(tmp_path):
    run = log_run(tmp_path / "run")
    report = imread(BytesIO(write_report([run], tmp_path / "report.png").read_bytes()))[..., :3]
    sheet = imread(run / "sheets" / "step-000060.png")[..., :3]
    height, width = sheet.shape[:2]
    np.testing.assert_allclose(report[-height - 10 : -10, :width], sheet, atol=1e-6)
    assert report.shape[0] > 500


def test_a_run_without_a_stop_event_is_described_as_running_or_interrupted(tmp_path):
    run = log_run(tmp_path / "run", steps=40)
    with (run / "log.jsonl").open("a") as file:
        file.write('{"event": "step", "st')
    (history,) = read_histories([run])
    assert history.describe_state() == (
        "At step 40 of 60; it is still running, or was interrupted: no stop was logged."
    )


def test_the_number_of_resumptions_is_reported(tmp_path):
    run = log_run(tmp_path / "run", steps=40)
    RunLog(run / "log.jsonl", active=True).write("start", step=40, config=CONFIG)
    (history,) = read_histories([run])
    assert history.describe_state().startswith("At step 40 of 60, resumed 1x;")


@pytest.mark.parametrize("suffix", ["html", "png"])
def test_a_run_without_events_is_reported(tmp_path, suffix):
    (tmp_path / "run").mkdir()
    report = write_report([tmp_path / "run"], tmp_path / f"report.{suffix}")
    if suffix == "html":
        assert "Nothing was logged yet." in report.read_text()
        assert "<img" not in report.read_text()
    else:
        assert imread(report)[..., :3].min() < 0.5


def test_the_logs_of_the_embedded_model_are_drawn():
    runs = [LOGS / f"{name}.jsonl" for name in ("log-parent", "log", "log-longer")]
    histories = read_histories(runs)
    assert [history.name for history in histories] == ["log-parent", "default-model", "log-longer"]
    ends = [history.describe_state().split(",")[0] for history in histories]
    assert ends == [f"Stopped at step {step} of {step}" for step in (3000, 1800, 950)]
    assert {"held-out PSNR, dB", "gradient norm", "seconds a step"} <= set(titles(*runs))


def test_runs_with_the_same_name_are_named_by_their_paths(tmp_path):
    for parent in ("a", "b"):
        (tmp_path / parent / "run").mkdir(parents=True)
    paths = [tmp_path / parent / "run" for parent in ("a", "b")]
    assert [history.name for history in read_histories(paths)] == list(map(str, paths))


def test_a_run_that_is_not_there_is_refused_in_one_line(tmp_path, capsys):
    assert main([str(tmp_path / "none")]) == 1
    assert "none: no such run; give its folder, or its log" in capsys.readouterr().err


def test_an_output_of_another_kind_is_refused(capsys):
    with pytest.raises(SystemExit):
        parse_arguments(["run", "--output", "report.pdf"])
    assert "end it in .html or .png" in capsys.readouterr().err
