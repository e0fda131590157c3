"""Text, CSV and plot of a summary."""

import csv
import sys

import pytest

from odvae_core.evaluation import check_plot, describe_evaluation, draw_plot, write_csv

MEAN = {"psnr": 24.216, "ssim": 0.6922, "flicker": 0.026}
SUMMARY = {
    "protocol": "5x16x16, clips 1",
    "contenders": [
        {
            "name": "ours",
            "parameters": 4732151,
            "vcpr": 163.2,
            "run": "Windows(frames=5) on cpu",
            "sha256": "ab12",
            "mean": {**MEAN, "border": 0.02, "elsewhere": 0.01, "border_ratio": 2.0},
            "sides": {"144": 24.0, "256": 24.4},
            "positions": [26.58, 24.17, 24.12, 24.2, 23.79],
            "frames_per_second": 4.2,
            "speed_ratio": 1.0,
        },
        {
            "name": "bicubic-mean",
            "parameters": 0,
            "vcpr": 217.6,
            "mean": {**MEAN, "psnr": 22.74},
            "sides": {"144": 22.0, "256": 23.5},
            "positions": [24.8, 22.79, 22.87, 22.58, 22.2],
            "frames_per_second": 431.0,
            "speed_ratio": 102.6,
        },
    ],
    "clips": [
        {"clip": "a.mp4", "contender": name, "frames": 5, **MEAN, "psnr_position_0": 26.58}
        for name in ("ours", "bicubic-mean")
    ],
    "left_out": [{"clip": "b.mp4", "reason": "b.mp4: has fewer than 5 frames"}],
    "missing": ["c.mp4"],
    "notes": ["not measured without its weights file: rFVD and KVD"],
}


def test_the_table_has_a_row_for_each_candidate_and_a_dash_where_it_has_no_figure():
    first, ours, bicubic, *_ = describe_evaluation(SUMMARY)
    assert first.split()[:3] == ["PSNR", "dB", "SSIM"]
    assert (
        "|".join(ours.split()) == "ours|24.22|0.6922|0.02600|0.02000|2.00|163|4,732,151|4.2|1.00x"
    )
    assert "|".join(bicubic.split()) == "bicubic-mean|22.74|0.6922|0.02600|-|-|218|0|431.0|102.60x"


def test_below_stand_the_parts_the_weights_what_is_missing_and_the_protocol():
    lines = describe_evaluation(SUMMARY)
    assert "PSNR dB by short side" in lines
    assert ["ours", "26.58", "24.17", "24.12", "24.20", "23.79"] in [line.split() for line in lines]
    assert "ours: Windows(frames=5) on cpu, sha256 ab12" in lines
    assert lines[-5:] == [
        "left out: 1 clips",
        "  b.mp4: has fewer than 5 frames",
        "not finished, 1 clips are missing",
        "not measured without its weights file: rFVD and KVD",
        "protocol: 5x16x16, clips 1",
    ]


def test_one_short_side_has_no_table_of_its_own():
    rows = [{**row, "sides": {"256": 24.4}} for row in SUMMARY["contenders"]]
    assert "PSNR dB by short side" not in describe_evaluation({**SUMMARY, "contenders": rows})


def test_csv_has_every_clip_the_means_and_the_protocol_in_every_row(tmp_path):
    path = tmp_path / "results.csv"
    write_csv(SUMMARY, path)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["clip"], row["contender"]) for row in rows] == [
        ("a.mp4", "ours"),
        ("a.mp4", "bicubic-mean"),
        ("mean", "ours"),
        ("mean", "bicubic-mean"),
    ]
    assert {row["protocol"] for row in rows} == {"5x16x16, clips 1"}
    assert float(rows[2]["psnr"]) == 24.216
    assert float(rows[2]["psnr_side_144"]) == 24.0
    assert rows[2]["sha256"] == "ab12"
    assert rows[3]["border"] == ""


def test_a_plot_is_a_png(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    path = tmp_path / "psnr.png"
    check_plot(path)
    draw_plot(SUMMARY, path)
    assert path.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match=r"plots are PNG: end the name in \.png"):
        check_plot(tmp_path / "psnr.jpg")


def test_without_matplotlib_a_plot_is_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ValueError, match="run `pip install matplotlib`"):
        check_plot(tmp_path / "psnr.png")


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "results.csv"
    path.write_text("precious")
    broken = {**SUMMARY, "clips": [{"clip": "a", "contender": Unwritable()}]}
    with pytest.raises(RuntimeError):
        write_csv(broken, path)
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


class Unwritable:
    """A value that can't be converted to text."""

    def __str__(self):
        raise RuntimeError
