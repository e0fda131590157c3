"""Files that version 0.1.0 wrote are read and continued: latents, datasets, journals."""

import json
import shutil
from pathlib import Path

import pytest
import torch

import odvae_core as odvae
from odvae_core import cli
from odvae_core.latents import LatentFile
from odvae_core.video import read_video

ROOT = Path(__file__).resolve().parents[1]
FILES = ROOT / "tests/data/files-0.1.0"
WEIGHTS = FILES / "default.safetensors"
"""The model that was embedded then."""

WHOLE = ("--schedule", "whole", "--device", "cpu")
ENCODE = ("--checkpoint", WEIGHTS, "--max-frames", 5, "--short-side", 20, *WHOLE)
EVALUATE = ("--frames-per-clip", 5, "--size", 16, *WHOLE)
CANDIDATES = ("--checkpoint", f"default={WEIGHTS}", "--baseline", "bicubic-mean")


def call_json(capsys, *arguments):
    """The JSON result of a command that succeeds."""
    assert cli.main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def clips(tmp_path):
    """The folder of clips from which the files were written."""
    folder = tmp_path / "clips"
    folder.mkdir()
    shutil.copy(ROOT / "assets/sample.mp4", folder)
    (folder / "broken.mp4").write_text("text\n")
    return folder


def test_a_latent_file_is_decoded(tmp_path, capsys):
    file = LatentFile(FILES / "clip.safetensors")
    assert (file.info.family, file.info.posterior) == ("odvae", "mean")
    assert (file.info.frames, file.info.height, file.info.width) == (5, 20, 33)
    assert file.shape == (1, 4, 2, 3, 5)
    assert [float(time) for time in file.times] == pytest.approx([i / 24 for i in range(5)])
    options = ("--checkpoint", WEIGHTS, "--device", "cpu")
    call_json(capsys, "decode", file.path, tmp_path / "clip.mp4", *options)
    assert read_video(tmp_path / "clip.mp4").shape == (1, 3, 5, 20, 33)


@pytest.mark.parametrize("name", ["latents", "latents-webdataset"])
def test_a_dataset_is_read(name):
    ((_, latent, facts),) = odvae.read_latents(FILES / name)
    (expected,) = LatentFile(FILES / "clip.safetensors").chunks(2)
    torch.testing.assert_close(latent, expected[0], atol=1e-5, rtol=1e-5)
    assert (facts["path"], facts["frames"], facts["height"], facts["fps"]) == (
        "sample.mp4",
        5,
        20,
        24.0,
    )
    assert ("logvar" in facts and torch.is_tensor(facts["logvar"])) == (name == "latents")


@pytest.mark.parametrize(
    ("name", "options"),
    [("latents", ("--logvar",)), ("latents-webdataset", ("--format", "webdataset"))],
)
def test_a_dataset_is_continued(tmp_path, clips, capsys, name, options):
    folder = tmp_path / name
    shutil.copytree(FILES / name, folder)
    facts = call_json(capsys, "encode-dataset", clips, folder, *ENCODE, *options)
    assert (facts["encoded"], facts["encoded_before"], len(facts["broken"])) == (0, 1, 1)
    index = (folder / "index.jsonl").read_text()
    assert index == (FILES / name / "index.jsonl").read_text()


def test_a_journal_is_merged(capsys):
    summary = call_json(capsys, "evaluate", "--merge", FILES / "journal.jsonl")
    assert [row["name"] for row in summary["contenders"]] == ["default", "bicubic-mean"]
    assert summary["contenders"][0]["mean"]["psnr"] == pytest.approx(16.789123975)
    assert [entry["clip"] for entry in summary["left_out"]] == ["broken.mp4"]
    assert summary["missing"] == []


def test_a_journal_is_continued(tmp_path, clips, capsys):
    journal = tmp_path / "journal.jsonl"
    lines = (FILES / "journal.jsonl").read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:-1]))  # the baseline is missing
    call_json(capsys, "evaluate", clips, *EVALUATE, *CANDIDATES, "--journal", journal)
    *before, last = journal.read_text().splitlines(keepends=True)
    assert before == lines[:-1]
    assert json.loads(last).keys() == json.loads(lines[-1]).keys()
    assert json.loads(last)["figures"] == pytest.approx(json.loads(lines[-1])["figures"])
