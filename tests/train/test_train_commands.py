"""The commands of the documentation: their exit status, and what a signal or an error leaves."""

import os
import shutil
import signal
from pathlib import Path

import psutil
import pytest

from tests.media import draw_noise, make_clip
from tests.train.commands import (
    TORCHRUN,
    TRAIN,
    find_port,
    finish,
    make_settings,
    start,
    wait_for_step,
)
from train.checkpoints import Checkpoints, Retention
from train.run_log import read_events

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="signals and /dev/full are POSIX's"),
]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    for name in ("noise.mp4", "held.mp4"):
        make_clip(folder / name, draw_noise(18))
    return folder


def load_newest(folder):
    return Checkpoints(Path(folder) / "checkpoints", Retention()).load_newest()


def check_stopped(folder):
    """The run ended with a signal, and its last step is saved."""
    stop = read_events(folder / "log.jsonl")[-1]
    assert (stop["event"], stop["reason"]) == ("stop", "signal")
    assert load_newest(folder).step == stop["step"] < 1000


def find_trainers(process):
    """The training processes of a launcher, without the workers."""
    return [child for child in psutil.Process(process.pid).children() if child.is_running()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_one_process_ends_it_with_0(tmp_path, clips, number):
    process = start(*TRAIN, *make_settings(tmp_path, clips, 1000, workers=2))
    wait_for_step(tmp_path, 2)
    process.send_signal(number)
    assert finish(process)[0] == 0
    check_stopped(tmp_path)


def test_a_signal_to_the_processes_of_torchrun_ends_it_with_0(tmp_path, clips):
    launch = (*TORCHRUN, "--standalone", "--nproc_per_node", 2)
    process = start(*launch, *TRAIN, *make_settings(tmp_path, clips, 1000))
    wait_for_step(tmp_path, 2)
    for trainer in find_trainers(process):
        trainer.terminate()
    assert finish(process)[0] == 0
    check_stopped(tmp_path)


def test_a_signal_to_torchrun_itself_ends_it_with_1_and_the_run_is_saved(tmp_path, clips):
    launch = (*TORCHRUN, "--standalone", "--nproc_per_node", 2)
    process = start(*launch, *TRAIN, *make_settings(tmp_path, clips, 1000, workers=1))
    wait_for_step(tmp_path, 2)
    process.terminate()
    assert finish(process)[0] == 1
    check_stopped(tmp_path)


def test_two_machines_without_a_shared_folder_train_and_resume(tmp_path, clips):
    """Two agents of torchrun, each with a run folder of its own."""
    folders = [tmp_path / "first", tmp_path / "second"]

    def launch(steps):
        meeting = ("--rdzv_backend", "c10d", "--rdzv_endpoint", f"127.0.0.1:{find_port()}")
        machines = []
        for rank, folder in enumerate(folders):
            nodes = ("--nnodes", 2, "--node_rank", rank, "--nproc_per_node", 1, *meeting)
            settings = make_settings(folder, clips, steps)
            machines.append(start(*TORCHRUN, *nodes, "--rdzv_id", "test", *TRAIN, *settings))
        codes, texts = zip(*map(finish, machines), strict=True)
        return codes, "\n".join(texts)

    codes, text = launch(4)
    assert codes == (0, 0), text
    (main,) = [folder for folder in folders if (folder / "log.jsonl").exists()]
    (other,) = [folder for folder in folders if folder != main]
    assert load_newest(main).step == 4
    assert load_newest(other) is None

    codes, text = launch(6)
    assert 0 not in codes
    assert "step-00000004 of process 0 is missing or different in process 1 on" in text

    shutil.copytree(main / "checkpoints", other / "checkpoints", dirs_exist_ok=True)
    codes, text = launch(6)
    assert codes == (0, 0), text
    assert load_newest(main).step == 6


def test_a_full_disk_behind_stderr_does_not_end_a_run(tmp_path, clips):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        process = start(*TRAIN, *make_settings(tmp_path, clips, 4, workers=2), stderr=full)
        assert finish(process)[0] == 0
    assert read_events(tmp_path / "log.jsonl")[-1]["reason"] == "end"


BROKEN = """
import sys
from train.__main__ import main
from train.run import Run
def fail(self, video, indices):
    raise ValueError("a bug in a step")
Run.train_step = fail
main(sys.argv[1:])
"""


def test_an_error_in_a_step_ends_the_run_and_its_workers(tmp_path, clips):
    arguments = make_settings(tmp_path, clips, 100, workers=2)
    code, text = finish(start("-c", BROKEN, *TRAIN[2:], *arguments))
    assert code == 1
    assert "ValueError: a bug in a step" in text


def test_workers_end_with_a_process_that_is_killed(tmp_path, clips):
    process = start(*TRAIN, *make_settings(tmp_path, clips, 1000, workers=2))
    wait_for_step(tmp_path, 2)
    workers = psutil.Process(process.pid).children()
    assert len(workers) >= 2
    process.kill()
    finish(process)
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert alive == []
