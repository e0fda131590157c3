"""The experiments of `reproduce --families`: numbers, figures and checks."""

from math import isfinite
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.media import make_clip
from train.reproduce.cvvae import Distance, check_distances, check_random, compare_nearest
from train.reproduce.experiment import SIDE, Experiment
from train.reproduce.experiments import FAMILIES
from train.reproduce.ivvae import check_parents, check_positions, check_rows
from train.reproduce.training import TrainingResult
from train.run_log import read_events


def draw_waves(frames=18):
    """Moving waves, uint8 [H, W, 3] each."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    waves = [127.5 + 120 * np.sin(9 * x + 5 * y - 0.2 * t) for t in range(frames)]
    return [np.repeat(wave[..., None], 3, axis=2).astype(np.uint8) for wave in waves]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The results of the experiments after trainings of two steps, and the folder."""
    folder = tmp_path_factory.mktemp("families")
    for name in ("train-000.mp4", "held-out-001.mp4"):
        (folder / "clips").mkdir(exist_ok=True)
        make_clip(folder / "clips" / name, draw_waves())
    experiment = Experiment(folder / "clips", folder, steps_factor=0.001)
    return {name: function(experiment) for name, function in FAMILIES.items()}, folder


@pytest.mark.slow
def test_every_experiment_of_the_families_reports_numbers_and_figures(results):
    for result in results[0].values():
        assert result.figures
        assert all(figure.exists() for figure in result.figures)
        for table in result.tables:
            assert {len(row) for row in table.rows} == {len(table.header)}
            assert all(isfinite(number) for row in table.rows for number in row[1:])


@pytest.mark.slow
def test_networks_that_several_experiments_need_are_trained_once(results):
    names = sorted(path.parent.name.rpartition("-")[0] for path in results[1].glob("*/log.jsonl"))
    assert names == [
        "cvvae-image",
        "cvvae-mean",
        "cvvae-none",
        "cvvae-random",
        "cvvae-slice",
        "ivvae-A",
        "ivvae-B",
        "ivvae-B-half",
        "ivvae-B-random",
        "ivvae-C",
        "ivvae-D",
        "ivvae-E",
        *["ivvae-parent"] * 4,
    ]


@pytest.mark.slow
@pytest.mark.parametrize("rows", ["AB", "CD"])
def test_rows_with_the_same_parent_compute_the_same_before_the_first_step(results, rows):
    starts = [
        next(e for e in read_events(path) if e["event"] == "evaluation")["positions"]
        for row in rows
        for path in results[1].glob(f"ivvae-{row}-????????/log.jsonl")
    ]
    assert len(starts) == 2
    assert starts[0] == pytest.approx(starts[1], abs=1e-3)


def end_at(*positions):
    """A training with this PSNR of frame 0 and of each position in the group at its end."""
    psnr = sum(positions) / len(positions)
    return TrainingResult(Path("none"), {0: {}, 2: {"positions": list(positions), "psnr": psnr}})


def test_group_causal_must_be_more_even_than_causal():
    even, uneven = end_at(20, 21, 21, 21, 20.9), end_at(20, 21, 21, 21, 20.5)
    rows = {"A": uneven, "B": even, "C": even, "D": uneven}
    assert [check.passed for check in check_positions(rows)] == [True, False]


def test_each_row_must_end_ahead_of_the_rows_that_it_adds_a_part_to():
    ends = {"A": 20, "B": 21, "C": 20, "D": 20.5, "E": 22}
    checks = check_rows({row: end_at(*[psnr] * 5) for row, psnr in ends.items()})
    assert [check.sentence[:23] for check in checks] == [
        "row B ends ahead of A: ",
        "row C ends ahead of A: ",
        "row D ends ahead of B: ",
        "row D ends ahead of C: ",
        "row E ends ahead of D: ",
    ]
    assert [check.passed for check in checks] == [True, False, False, True, True]
    assert "+1.00 dB, in the paper +0.35" in checks[0].sentence


def test_half_a_parent_must_be_better_than_none_and_than_a_whole_one_in_later_frames():
    near, far, bad = end_at(21, 21, 21, 21, 21), end_at(23, 20, 20, 20, 20), end_at(9, 9, 9, 9, 9)
    assert [check.passed for check in check_parents(far, near, bad)] == [True, True, True]
    assert [check.passed for check in check_parents(near, far, bad)] == [True, False, False]
    assert [check.passed for check in check_parents(far, bad, near)] == [False, False, True]


@pytest.mark.parametrize(("without", "passed"), [(14.9, True), (15.1, False)])
def test_every_mapping_must_bring_the_latent_spaces_closer(without, passed):
    near = {"slice": 16.0, "mean": 15.0, "random": 17.0, "none": without}
    distances = {name: Distance(psnr, 0.0) for name, psnr in near.items()}
    assert check_distances(distances).passed is passed


@pytest.mark.parametrize(("random", "passed"), [(20.1, True), (19.5, False)])
def test_random_frames_must_end_ahead_of_the_better_of_the_other_mappings(random, passed):
    ends = {"slice": 20.0, "mean": 19.0, "random": random, "none": 22.0}
    assert check_random(ends).passed is passed


def test_a_picture_is_compared_with_the_nearest_frame_of_its_group():
    video = torch.full((1, 3, 9, 4, 4), -1.0)
    video[:, :, 7] = 1.0
    pictures = torch.tensor([-0.8, -1.0, 0.8]).view(1, 1, 3, 1, 1).expand(1, 3, 3, 4, 4)
    first, second, third = compare_nearest(pictures, video, 4)[0].tolist()
    assert first == pytest.approx(20.0)
    assert second == float("inf")
    assert third == pytest.approx(20.0)
