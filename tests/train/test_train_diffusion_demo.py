"""The demonstration model from clips to its file, and the configurations of the paper's Lattes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import odvae_core
from odvae_core import cli, diffusion
from tests.checkpoints import build_image_vae
from tests.train.small_latents import SMALL
from train.config_sections import RunConfig
from train.diffusion import export, render
from train.diffusion.config import LatentsConfig, ModelConfig, StepsConfig, load_config
from train.diffusion.latents import load_latents
from train.diffusion.loop import train

CONFIGS = Path(__file__).resolve().parents[2] / "train" / "configs" / "diffusion"
BYTES = 10_000_000


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    assert render.main([str(folder), "--count", "5", "--frames", "9", "--size", "32"]) == 0
    return folder


def encode(clips, latents, *options):
    arguments = ["encode-dataset", str(clips), str(latents), "--frames-per-clip", "9", *options]
    assert cli.main([*arguments, "--device", "cpu"]) == 0
    return latents


def test_the_demonstration_is_trained_on_the_embedded_vae_and_exported(clips, tmp_path):
    latents = encode(clips, tmp_path / "latents", "--logvar")
    config = load_config(CONFIGS / "demo.toml", [])
    config = replace(
        config,
        data=replace(config.data, path=str(latents)),
        training=StepsConfig(2, 2),
        samples=replace(config.samples, count=2, steps=2),
        run=RunConfig(str(tmp_path / "run"), precision="no"),
    )
    train(config)
    assert (tmp_path / "run/sheets/step-000002.png").exists()
    file = tmp_path / "demo.safetensors"
    assert export.main([str(tmp_path / "run"), str(file), "--title", "A demonstration"]) == 0
    network, vae = diffusion.load(file), odvae_core.load("default")
    metadata = network.provenance.metadata
    assert json.loads(metadata["classes"]) == ["circle", "cross", "square", "triangle"]
    assert metadata["title"] == "A demonstration"
    assert metadata["vae_sha256"] == vae.provenance.sha256
    assert network.config.in_channels == vae.latent_channels
    assert network.config.latent_scale == vae.latent_scale
    assert network.provenance.dtype == torch.float16
    assert file.stat().st_size < BYTES


def test_the_demonstration_has_the_frames_of_its_clips():
    config = diffusion.list_presets("latte")["latte-demo"]
    assert 1 + config.temporal_compression * (config.latent_frames - 1) == 17
    assert config.side * config.spatial_compression == 64
    with torch.device("meta"):
        weights = sum(weight.numel() for weight in diffusion.build(config).parameters())
    assert 2 * weights < BYTES


def test_a_run_without_weights_is_not_exported(tmp_path, capsys):
    assert export.main([str(tmp_path), str(tmp_path / "a.safetensors")]) == 1
    assert "ema.safetensors can't be read" in capsys.readouterr().err


def test_a_2d_vae_gives_latents_frame_by_frame(clips, tmp_path):
    torch.manual_seed(0)
    torch.save(build_image_vae().state_dict(), tmp_path / "sd.pt")
    options = ("--checkpoint", str(tmp_path / "sd.pt"))
    refused = ["encode-dataset", str(clips), str(tmp_path / "none"), *options, "--device", "cpu"]
    assert cli.main(refused) != 0
    latents = encode(clips, tmp_path / "latents", "--images", *options)
    found = load_latents(LatentsConfig(str(latents), "folder"))
    assert found.shape == (4, 9, 4, 4)
    assert found.vae["temporal_compression"] == 1
    config = load_config(CONFIGS / "demo.toml", [])
    run = train(
        replace(
            config,
            model=ModelConfig("latte-demo", SMALL),
            data=replace(config.data, path=str(latents)),
            training=StepsConfig(1, 2),
            samples=replace(config.samples, vae=""),
            run=RunConfig(str(tmp_path / "run"), precision="no"),
        )
    )
    assert (run.network.config.latent_frames, run.network.config.temporal_compression) == (9, 1)


@pytest.mark.parametrize(
    ("name", "classes", "clip_from"), [("ucf101", 101, 100_000), ("sky", None, 20_000)]
)
def test_the_configurations_of_the_paper_have_latte_s_recipe(name, classes, clip_from):
    config = load_config(CONFIGS / f"{name}.toml", [])
    preset = diffusion.list_presets("latte")[config.model.preset]
    assert (preset.width, preset.layers, preset.latent_frames, preset.side) == (1152, 28, 21, 32)
    assert (preset.classes, config.data.labels != "none") == (classes, classes is not None)
    assert (config.optimiser.learning_rate, config.optimiser.clip) == (1e-4, 0.1)
    assert (config.training.clip_from, config.training.batch) == (clip_from, 5)
    assert config.ema.decay == 0.9999
