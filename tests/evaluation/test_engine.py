"""The evaluation from clips to summary."""

import dataclasses
import logging
import math

import pytest
import torch

from odvae_core.evaluation import Candidate, JournalError, merge_journals, summarise
from odvae_core.evaluation import engine as engine_module
from tests.evaluation.small_evaluation import (
    LEVEL,
    PROTOCOL,
    break_on_noise,
    brighten,
    is_noise,
    make_networks,
    run,
    without_times,
    write_clips,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("evaluation") / "clips")


@pytest.fixture
def two():
    return [brighten("two", 2), brighten("four", 4)]


def psnr_of(levels):
    return 20 * math.log10(255 / levels)


def test_every_candidate_gets_the_same_crops_each_cut_once(folder, monkeypatch):
    seen, cut, read = {"x": [], "y": []}, engine_module.cut_crops, []
    monkeypatch.setattr(
        engine_module, "cut_crops", lambda path, protocol: read.append(path) or cut(path, protocol)
    )
    candidates = [
        Candidate(name, lambda video, name=name: seen[name].append(video) or video) for name in seen
    ]
    run(folder, candidates)
    assert [path.name for path in read] == ["a.mkv", "b.mkv", "short.mkv"]
    assert len(seen["x"]) == 1 + 2 * 2  # one to warm up, then two pieces of two clips
    assert all(torch.equal(x, y) for x, y in zip(seen["x"], seen["y"], strict=True))


def test_means_are_over_clips(folder):
    summary = run(folder, [Candidate("x", lambda video: video + (not is_noise(video)) * 2 * LEVEL)])
    (row,) = summary["contenders"]
    by_clip = {entry["clip"]: entry["psnr"] for entry in summary["clips"]}
    assert by_clip == {"a.mkv": 100, "b.mkv": pytest.approx(psnr_of(2), abs=1e-4)}
    assert row["mean"]["psnr"] == pytest.approx((100 + psnr_of(2)) / 2, abs=1e-4)
    assert len(row["positions"]) == 5


def test_speed_counts_the_frames_of_all_crops_and_is_compared_with_the_first(
    folder, two, monkeypatch
):
    clock = iter(range(1000))
    monkeypatch.setattr(engine_module.time, "perf_counter", lambda: next(clock))
    first, second = run(folder, two)["contenders"]
    assert first["frames_per_second"] == 5  # five frames for every second of the clock
    assert second["speed_ratio"] == 1


def test_a_clip_that_cannot_be_measured_is_named_and_counted_and_in_no_mean(folder, two, caplog):
    with caplog.at_level(logging.WARNING):
        summary = run(folder, two)
    (left,) = summary["left_out"]
    assert left["clip"] == "short.mkv"
    assert "has fewer than 5 frames" in left["reason"]
    assert "short.mkv" in caplog.text
    assert {entry["clip"] for entry in summary["clips"]} == {"a.mkv", "b.mkv"}
    assert summary["protocol"].endswith("clips 2")


def test_values_that_are_not_finite_leave_the_clip_out_for_all(folder):
    summary = run(folder, [brighten("two", 2), Candidate("broken", break_on_noise)])
    assert [entry["clip"] for entry in summary["left_out"]] == ["a.mkv", "short.mkv"]
    assert "a.mkv: the reconstruction by broken isn't finite" in str(summary["left_out"])
    assert {(entry["clip"], entry["contender"]) for entry in summary["clips"]} == {
        ("b.mkv", "two"),
        ("b.mkv", "broken"),
    }
    assert all(math.isfinite(row["mean"]["psnr"]) for row in summary["contenders"])


@pytest.mark.parametrize("calls", range(1, 10, 2))
def test_an_interrupted_evaluation_that_goes_on_equals_an_uninterrupted_one(
    folder, two, tmp_path, calls
):
    journal, left = tmp_path / "journal.jsonl", [calls]

    def interrupt(video):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return video + 4 * LEVEL

    stopping = [two[0], Candidate("four", interrupt, two[1].facts)]
    try:
        run(folder, stopping, journal, make_networks())
    except KeyboardInterrupt:
        with journal.open("a") as file:
            file.write('{"clip": "a.m')  # as a killed writer leaves it
    assert without_times(run(folder, two, journal, make_networks())) == without_times(
        run(folder, two, networks=make_networks())
    )


def test_a_finished_evaluation_is_not_done_again(folder, two, tmp_path):
    journal = tmp_path / "journal.jsonl"
    first = run(folder, two, journal)
    before = journal.read_bytes()

    def fail(video):
        raise AssertionError

    again = [Candidate(one.name, fail, one.facts) for one in two]
    assert run(folder, again, journal) == first
    assert journal.read_bytes() == before


def test_shards_merged_equal_the_whole(folder, two, tmp_path):
    paths = [tmp_path / "1.jsonl", tmp_path / "2.jsonl"]
    for index, path in enumerate(paths):
        run(folder, two, path, make_networks(), slice(index, None, 2))
    for order in (paths, paths[::-1]):
        merged = summarise(merge_journals(order))
        assert without_times(merged) == without_times(run(folder, two, networks=make_networks()))


def test_clips_that_no_merged_journal_holds_are_missing_and_said_so(folder, two, tmp_path):
    run(folder, two, tmp_path / "1.jsonl", share=slice(0, 1))
    summary = summarise(merge_journals([tmp_path / "1.jsonl"]))
    assert summary["missing"] == ["b.mkv", "short.mkv"]
    assert summary["protocol"].endswith("clips 1")


@pytest.mark.parametrize("change", ["contender", "facts", "judges"])
def test_a_journal_of_another_evaluation_is_refused(folder, two, tmp_path, change):
    path = tmp_path / "journal.jsonl"
    run(folder, two, path)
    other = {
        "contender": [two[0], brighten("eight", 8)],
        "facts": [two[0], Candidate("four", two[1].reconstruct, {"sha256": "0" * 64})],
        "judges": two,
    }
    with pytest.raises(
        JournalError, match=r"belongs to another evaluation, its (contenders|judges) diff"
    ):
        run(folder, other[change], path, make_networks() if change == "judges" else None)


def test_two_candidates_of_one_name_are_refused(folder):
    with pytest.raises(ValueError, match="two candidates named two; rename one"):
        run(folder, [brighten("two", 2), brighten("two", 4)])


def test_features_of_all_crops_give_the_distances_of_the_sets(folder, two):
    summary = run(folder, two, networks=make_networks())
    first, second = summary["contenders"]
    # features are mean colours; noise and the grey of a frame saturate a little, so less than this
    assert 0 < first["rfvd"] < second["rfvd"] <= 3 * (4 * LEVEL) ** 2 + 1e-6
    assert {"kvd", "inception_score", "clips_inception_score"} <= set(first)
    assert first["mean"]["lpips_alex"] == pytest.approx(2 * LEVEL, rel=0.1)
    assert not any("not measured" in note and "rFVD" in note for note in summary["notes"])


def test_what_has_no_weights_is_absent_and_said_so(folder, two):
    summary = run(folder, two)
    assert not {"rfvd", "kvd", "inception_score"} & set(summary["contenders"][0])
    assert "LPIPS (alex), LPIPS (vgg), rFVD and KVD, Inception Score" in summary["notes"][0]


def test_fewer_crops_than_features_are_said_so(folder, two):
    wide = make_networks()
    assert not any("rFVD of" in note for note in run(folder, two, networks=wide)["notes"])
    wide.features["i3d"] = lambda video: video[:, 0, 0, 0]
    *_, note = run(folder, two, networks=wide)["notes"]
    assert note.startswith("rFVD of 4 crops with 16 features is far too large")


def test_one_crop_has_no_distance_of_sets_and_that_is_said(folder, two):
    protocol = dataclasses.replace(PROTOCOL, pieces=1)
    summary = run(folder / "a.mkv", two, networks=make_networks(), protocol=protocol)
    assert "rfvd" not in summary["contenders"][0]
    assert "they need two crops or more" in summary["notes"][-1]


def test_border_errors_are_given_with_their_ratio_and_only_where_windows_join(folder):
    levels = torch.tensor([0.0, 1, 1, 5, 5]).view(1, 1, 5, 1, 1)
    jumping = Candidate("jumping", lambda video: video + levels * LEVEL, borders=(3,))
    rows = run(folder / "b.mkv", [jumping, brighten("whole", 1)])["contenders"]
    first, second = (row["mean"] for row in rows)
    assert first["border"] == pytest.approx(4 / 255, abs=1e-6)
    assert first["elsewhere"] == pytest.approx(1 / 3 / 255, abs=1e-6)
    assert first["border_ratio"] == pytest.approx(12, abs=1e-3)
    assert "border" not in second


def test_gradients_are_not_recorded(folder):
    weight = torch.ones((), requires_grad=True)
    states = []

    def reconstruct(video):
        states.append((video * weight).requires_grad)
        return video

    run(folder, [Candidate("x", reconstruct)])
    assert states
    assert not any(states)
