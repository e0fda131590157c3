"""The run's log: events, incomplete lines, published paths and trackers."""

import json
import logging

import pytest
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.tracking import GeneralTracker

from train.config import Config, ConfigError, DataConfig, RunConfig
from train.run_log import (
    RunLog,
    check_trackers,
    flatten_config,
    publishable_config,
    read_events,
    start_trackers,
)


class Notes(GeneralTracker):
    """A tracker that records its calls."""

    name = "notes"
    requires_logging_directory = False

    def __init__(self):
        super().__init__()
        self.config, self.logged = None, []

    @property
    def tracker(self):
        return self

    def store_init_configuration(self, values):
        self.config = values

    def log(self, values, step=None):
        self.logged.append((step, values))


def write_log(path, *events):
    path.write_text("".join(json.dumps(event) + "\n" for event in events))


def test_an_event_is_one_line_with_its_values_and_the_seconds(tmp_path):
    RunLog(tmp_path / "log.jsonl", active=True).write("step", step=3, l1=0.5)
    (event,) = read_events(tmp_path / "log.jsonl")
    assert event.pop("seconds") >= 0
    assert event == {"event": "step", "step": 3, "l1": 0.5}


def test_a_process_that_is_not_the_writer_writes_nothing(tmp_path):
    RunLog(tmp_path / "log.jsonl", active=False).write("step", step=3)
    assert not (tmp_path / "log.jsonl").exists()


def test_numbers_that_are_not_finite_become_null(tmp_path):
    run_log = RunLog(tmp_path / "log.jsonl", active=True)
    run_log.write("skip", step=1, kl=float("nan"), positions=[1.0, float("inf")])
    line = json.loads((tmp_path / "log.jsonl").read_text())
    assert (line["kl"], line["positions"]) == (None, [1.0, None])


def test_an_incomplete_line_of_a_killed_process_is_skipped_with_a_warning(tmp_path, caplog):
    log = tmp_path / "log.jsonl"
    write_log(log, {"event": "start", "step": 0})
    with log.open("a") as file:
        file.write('{"event": "step", "st')
    assert [event["event"] for event in read_events(log)] == ["start"]
    assert "line 2 is incomplete" in caplog.text


def test_the_next_process_starts_a_new_line_after_an_incomplete_one(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text('{"event": "st')
    RunLog(log, active=True).write("stop", step=2)
    assert [event["event"] for event in read_events(log)] == ["stop"]


def test_a_log_that_can_not_be_written_warns_and_does_not_end_the_run(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        RunLog(tmp_path / "gone" / "log.jsonl", active=True).write("step", step=1)
    assert "can't be written" in caplog.text


def test_steps_that_a_resumed_run_repeated_count_once_the_later_ones(tmp_path):
    write_log(
        tmp_path / "log.jsonl",
        {"event": "start", "step": 0},
        {"event": "clip", "name": "broken.mp4", "reason": "no frames"},
        {"event": "step", "step": 10, "l1": 1.0},
        {"event": "step", "step": 20, "l1": 2.0},
        {"event": "evaluation", "step": 20, "psnr": 20.0},
        {"event": "start", "step": 10},
        {"event": "step", "step": 20, "l1": 3.0},
    )
    events = read_events(tmp_path / "log.jsonl")
    assert [event.get("l1") for event in events if event["event"] == "step"] == [1.0, 3.0]
    assert [event["event"] for event in events if event["event"] != "step"] == [
        "start",
        "clip",
        "start",
    ]


@pytest.mark.parametrize(
    ("place", "published"),
    [
        ("/home/me/clips", "clips"),
        ("/home/me/clips/", "clips"),
        ("~/clips", "clips"),
        ("../mine/clips", "clips"),
        ("D:\\mine\\clips", "clips"),
        ("runs/tiny", "runs/tiny"),
        ("street/*.mp4", "street/*.mp4"),
        ("", ""),
    ],
)
def test_of_a_path_outside_the_working_directory_only_the_last_part_is_published(place, published):
    config = Config(data=DataConfig(path=place), run=RunConfig(folder=place))
    values = publishable_config(config)
    assert (values["data"]["path"], values["run"]["folder"]) == (published, published)


@pytest.fixture
def notes():
    """The tracker; accelerate's state is reset after the test."""
    yield Notes()
    AcceleratorState._reset_state(reset_partial_state=True)


def test_trackers_get_the_numbers_of_every_event_and_the_configuration(tmp_path, notes):
    accelerator = Accelerator(log_with=[notes])
    start_trackers(accelerator, "run", {"loss": {"l1": 1.0}, "phases": [{"batch": 2}]})
    run_log = RunLog(tmp_path / "log.jsonl", active=True, track=accelerator.log)
    run_log.write("evaluation", step=7, psnr=21.5, ssim=float("nan"), weights="ema")
    assert notes.config == {"loss.l1": 1.0, "phases": '[{"batch": 2}]'}
    ((step, values),) = notes.logged
    assert step == 7
    assert {name: value for name, value in values.items() if "seconds" not in name} == {
        "evaluation/psnr": 21.5
    }


def test_a_tracker_that_is_not_installed_is_refused_at_the_start(monkeypatch):
    monkeypatch.setattr("train.run_log.get_available_trackers", list)
    with pytest.raises(ConfigError, match=r"'wandb', which isn't installed: `pip install wandb`"):
        check_trackers(["wandb"])
    check_trackers([])


def test_flat_names_are_joined_by_dots():
    assert flatten_config({"a": {"b": {"c": 1}}, "d": [1, 2]}) == {"a.b.c": 1, "d": "[1, 2]"}
