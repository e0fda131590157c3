"""Shipped configurations with a small network and a few short phases, for tests."""

from dataclasses import asdict, replace
from pathlib import Path

import odvae_core
from odvae_core.inflation import image_parent
from odvae_core.registry import family_of
from train.config import EvaluationConfig, ModelConfig, Phase, load_config
from train.config_sections import SourceConfig
from train.networks import choose_preset, make_vae

CONFIGS = Path(__file__).resolve().parents[2] / "train" / "configs"
PRESETS = sorted(path.stem for path in CONFIGS.glob("*.toml"))
SD_VAE = ModelConfig("sd-vae", {"width": 8, "blocks": 1, "norm_groups": 4})
CROPS = EvaluationConfig(sides=(32,), frames=5, size=16, stride=1)

QUIET = {"adversarial": 0.0}
PHASES = (
    Phase(until_step=2, batch=4, frames=1, size=16, losses=QUIET),
    Phase(until_step=3, batch=4, frames=5, size=16, losses=QUIET, frozen=("encoder",)),
    Phase(until_step=6, batch=4, frames=5, size=16, losses={"adversarial": 0.5}),
    Phase(until_step=7, batch=4, frames=1, size=16, losses={"adversarial": 0.5}),
)
"""Pictures, a frozen encoder, clips with a discriminator, and pictures with it."""


def shrink_network(model):
    """The overrides that make a preset's network small; other overrides remain."""
    preset = choose_preset(model)
    if family_of(preset) == "ivvae":
        return model.overrides | {"width": 4, "blocks": 1}
    small = {"blocks": 1, "norm_groups": 4}
    if family_of(preset) == "cvvae":
        levels = [asdict(level) | {"channels": 8} for level in preset.levels]
        return model.overrides | small | {"levels": levels}
    return model.overrides | small | {"width": 8}


def write_first_weights(model, folder):
    """The small network's section, with files for the parent or the start that it names."""
    small = replace(model, overrides=shrink_network(model))
    file = folder / "first.safetensors"
    if model.parent:
        odvae_core.save(odvae_core.build(image_parent(choose_preset(small))), file)
        return replace(small, parent=str(file))
    if model.start:
        odvae_core.save(odvae_core.build(choose_preset(small)), file)
        return replace(small, start=str(file))
    return small


def shrink_preset(name, folder, clips, **run):
    """A shipped configuration with its losses, rates and precision, for seven small steps."""
    folder.mkdir(parents=True, exist_ok=True)
    config = load_config(CONFIGS / f"{name}.toml", [])
    space, data = config.image_space, config.data
    if space.vae:
        odvae_core.save(make_vae(SD_VAE), folder / "image.safetensors")
        space = replace(space, vae=str(folder / "image.safetensors"))
    data = replace(data, path=str(clips), sources=(SourceConfig(),), strides=(1, 2), sides=(0, 0))
    run = {"accumulate": 2, "log_every": 1, "evaluate_every": 100, "save_every": 100} | run
    return replace(
        config,
        model=write_first_weights(config.model, folder),
        data=replace(data, held_out=("held*",), kept_sides=(32,)),
        loss=replace(config.loss, perceptual="none"),
        image_space=space,
        discriminator=replace(config.discriminator, width=8, layers=2),
        evaluation=CROPS,
        phases=PHASES,
        run=replace(config.run, folder=str(folder / "run"), workers=0, **run),
    )
