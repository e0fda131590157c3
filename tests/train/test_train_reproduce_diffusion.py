"""The experiment with diffusion models on the latents of VAEs, at a tiny size."""

import argparse
import json
from dataclasses import replace

import pytest
import torch

from odvae_core.diffusion import list_presets
from train.config import ConfigError
from train.data.shapes import SHAPES, draw_shape_clips
from train.reproduce.__main__ import main
from train.reproduce.diffusion.classifier import measure_accuracy, train_classifier
from train.reproduce.diffusion.experiments import choose_tables, run_generation
from train.reproduce.diffusion.settings import CPU, GPU, OURS, TABLES, Row
from train.reproduce.diffusion.vaes import Setup, decode_latents, encode_clips, train_row_vae

TINY = replace(
    CPU,
    clips=8,
    frames=5,
    image_steps=2,
    video_steps=2,
    classifier_steps=2,
    network={"layers": 2, "heads": 2, "head_dim": 8, "patch_size": 1},
    steps=3,
    batch=4,
    samples=8,
    sampling_steps=2,
)


def give_options(folder, **changes):
    options = {"output": folder, "seed": 0, "threads": 1, "only": None, "i3d": None}
    return argparse.Namespace(**{**options, "steps_factor": 1.0, **changes})


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The folder of the experiment after its first run."""
    folder = tmp_path_factory.mktemp("generation")
    run_generation(give_options(folder), TINY)
    return folder


def test_the_table_compares_the_latents(report):
    found = json.loads((report / "diffusion.json").read_text())["findings"]["generation"]
    (table,) = found["tables"]
    rows = {row[0]: dict(zip(table["header"], row, strict=True)) for row in table["rows"]}
    images, ours = rows["2D VAE, frame by frame"], rows["OD-VAE"]
    assert (images["tokens"], ours["tokens"]) == (5 * 16, 2 * 16)
    assert ours["memory, MiB"] < images["memory, MiB"]
    assert 0 <= ours["accuracy"] <= 1
    assert ours["Frechet distance"] > 0
    assert ours["FVD"] == "-"
    assert len(found["checks"]) == 4
    assert (report / "generation.png").exists()
    assert len(list(report.glob("OD-VAE-*.png"))) == 1


def test_a_second_run_uses_the_trainings_of_the_first(report):
    logs = {path: path.read_bytes() for path in report.glob("vae-*/log.jsonl")}
    before = {path: path.stat().st_mtime_ns for path in report.glob("*/ema.safetensors")}
    run_generation(give_options(report), TINY)
    assert {path: path.read_bytes() for path in logs} == logs
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_windows_make_other_latents_of_the_same_vae(tmp_path):
    setup = Setup(tmp_path, 0, replace(TINY, frames=9))
    clips, labels = draw_shape_clips((1,), 1, 9, 32)
    windows = Row("windows", window=5)
    vae = train_row_vae(setup, windows)
    whole, cut = (encode_clips(vae, clips, labels, row) for row in (OURS, windows))
    assert whole.means[0].shape == cut.means[0].shape
    assert not torch.equal(whole.means[0], cut.means[0])
    assert decode_latents(vae, cut.means[0][None], windows).shape == clips.shape


def test_clips_are_of_their_class_and_moving():
    clips, labels = draw_shape_clips((3, 4), 8, 5, 32)
    assert labels.tolist() == [0, 1, 2, 3] * 2
    assert clips.shape == (8, 3, 5, 32, 32)
    assert float(clips.amin()) == -1
    assert clips.amax(dim=(1, 2, 3, 4)).min() > 0
    assert (clips[:, :, 0] - clips[:, :, -1]).abs().amax(dim=(1, 2, 3)).min() > 0.5
    assert torch.equal(clips[3], draw_shape_clips((3, 4), 4, 5, 32)[0][3])


@pytest.mark.slow
def test_the_classifier_recognises_real_clips():
    classifier = train_classifier(0, CPU.frames, CPU.size)
    clips, labels = draw_shape_clips((99,), 128, CPU.frames, CPU.size)
    assert measure_accuracy(classifier, clips, labels) >= 0.95


@pytest.mark.parametrize("settings", [CPU, GPU])
def test_the_networks_of_all_settings_can_be_built(settings):
    preset = list_presets("latte")[settings.preset]
    assert not settings.size // 8 % replace(preset, **settings.network).patch_size
    assert (settings.frames - 1) % 4 == 0
    assert settings.samples % len(SHAPES) == 0


def test_other_tables_are_chosen_by_name():
    assert list(choose_tables(None)) == ["generation"]
    assert OURS in choose_tables(["generation-tiling"])["generation-tiling"]
    assert all(OURS in rows for rows in TABLES.values())
    with pytest.raises(ConfigError, match="generation-variants"):
        choose_tables(["figure-9"])


def test_an_unknown_table_ends_the_command(tmp_path, capsys):
    arguments = ["--diffusion", "--only", "nothing", "--output", str(tmp_path), "--threads", "1"]
    assert main(arguments) == 2
    assert "the tables are generation" in capsys.readouterr().err
