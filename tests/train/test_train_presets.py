"""The configurations of CV-VAE and IV-VAE, trained at small size."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import odvae_core
from tests.media import draw_noise, make_clip
from train.config import EvaluationConfig, ModelConfig, load_config
from train.loop import train
from train.networks import FIRST_LOGVAR, make_vae
from train.run_log import read_events

CONFIGS = Path(__file__).resolve().parents[2] / "train" / "configs"


CROPS = EvaluationConfig(sides=(32,), frames=5, size=32, stride=1)


LEVELS = [
    {"channels": 8, "down": "joint", "up": ""},
    {"channels": 8, "down": "space", "up": "joint"},
    {"channels": 8, "down": "joint", "up": "space"},
    {"channels": 8, "down": "", "up": "joint"},
]


CVVAE = {"levels": LEVELS, "blocks": 1, "norm_groups": 4}


IVVAE = {"width": 4, "blocks": 1}


SD_VAE = {"width": 8, "blocks": 1, "norm_groups": 4}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A folder with two small clips, one of them held out."""
    folder = tmp_path_factory.mktemp("clips")
    for name in ("noise.mp4", "held.mp4"):
        make_clip(folder / name, draw_noise(18))
    return folder


def shrink(config, clips, folder, overrides, phases):
    """A shipped configuration with its losses and rates, for a small network."""
    data = replace(
        config.data, path=str(clips), held_out=("held*",), strides=(1, 2), sides=(32, 32)
    )
    run = replace(config.run, folder=str(folder), workers=0, log_every=1, precision="no")
    return replace(
        config,
        model=replace(config.model, overrides=overrides),
        data=data,
        loss=replace(config.loss, perceptual="none"),
        discriminator=replace(config.discriminator, width=8),
        evaluation=CROPS,
        phases=phases,
        run=run,
    )


def shorten(phase, until_step, **changes):
    """A phase at 16x16, in batches of two clips of five frames at most."""
    changes = {"frames": min(5, phase.frames), "image_batch": 2, **changes}
    return replace(phase, until_step=until_step, batch=2, size=16, **changes)


def read_steps(folder):
    return [event for event in read_events(folder / "log.jsonl") if event["event"] == "step"]


def test_the_cvvae_preset_trains_on_pictures_and_clips_with_a_frozen_2d_vae(clips, tmp_path):
    image_vae = tmp_path / "image.safetensors"
    odvae_core.save(make_vae(ModelConfig("sd-vae", SD_VAE)), image_vae)
    config = load_config(CONFIGS / "cvvae.toml", [f"image_space.vae={image_vae}"])
    (phase,) = config.phases
    phases = shorten(phase, 1, image_share=1.0), shorten(phase, 3, image_share=0.0)
    train(shrink(config, clips, tmp_path / "run", CVVAE, phases))
    steps = read_steps(tmp_path / "run")
    assert len(steps) == 3
    assert all({"l1", "kl", "image", "adversarial"} <= step.keys() for step in steps)
    assert {step["skipped"] for step in steps} == {0}
    assert odvae_core.load(tmp_path / "run" / "ema.safetensors").family == "cvvae"


def test_the_ivvae_preset_trains_a_2d_vae_and_an_inflated_vae_with_a_discriminator(clips, tmp_path):
    settings = ["model.images=true", "model.parent=", "loss.adversarial=0"]
    config = load_config(CONFIGS / "ivvae.toml", settings)
    phases = (shorten(config.phases[0], 1, frames=1),)
    train(shrink(config, clips, tmp_path / "parent", IVVAE, phases))
    parent = tmp_path / "parent" / "ema.safetensors"
    assert odvae_core.load(parent).latent_channels == 2

    config = load_config(CONFIGS / "ivvae.toml", [f"model.parent={parent}"])
    phases = tuple(shorten(phase, i + 1) for i, phase in enumerate(config.phases))
    train(shrink(config, clips, tmp_path / "run", IVVAE, phases))
    steps = read_steps(tmp_path / "run")
    assert ["adversarial" in step for step in steps] == [False, False, True]
    assert {step["skipped"] for step in steps} == {0}
    vae = odvae_core.load(tmp_path / "run" / "ema.safetensors")
    assert (vae.family, vae.latent_channels) == ("ivvae", 4)


@pytest.mark.parametrize(
    "model",
    [
        ModelConfig("cvvae", CVVAE),
        ModelConfig("ivvae-z4", IVVAE),
        ModelConfig("ivvae-z4", IVVAE, images=True),
        ModelConfig("odvae-tiny"),
        ModelConfig("odvae-tiny", images=True),
        ModelConfig("odvae-tiny", {"quant": ""}),
    ],
    ids=lambda model: f"{model.preset}{' images' * model.images}{' bare' * bool(model.overrides)}",
)
@torch.no_grad()
def test_every_family_starts_with_little_posterior_noise(model):
    torch.manual_seed(0)
    posterior = make_vae(model).encode(torch.rand(1, 3, 5, 32, 32) * 2 - 1)
    assert posterior.logvar.mean().item() == pytest.approx(FIRST_LOGVAR, abs=1)
    assert posterior.mean.mean().abs() < 1
