"""The shipped configurations: what they say, their launch lines, and short trainings with them."""

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import odvae_core
from tests.checkpoints import build_image_vae, write_diffusers_folder
from tests.media import draw_noise, make_clip
from train.__main__ import parse_arguments
from train.config import EvaluationConfig, ModelConfig, load_config
from train.config_sections import Shape
from train.loop import train
from train.networks import FIRST_LOGVAR, make_vae
from train.reproduce.ivvae import ROWS
from train.run_log import read_events

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "train" / "configs"
PRESETS = sorted(path.name for path in CONFIGS.glob("*.toml"))

CROPS = EvaluationConfig(sides=(32,), frames=5, size=32, stride=1)
PICTURES = replace(CROPS, frames=1)

LEVELS = [
    {"channels": 8, "down": "joint", "up": ""},
    {"channels": 8, "down": "space", "up": "joint"},
    {"channels": 8, "down": "joint", "up": "space"},
    {"channels": 8, "down": "", "up": "joint"},
]
CVVAE = {"levels": LEVELS, "blocks": 1, "norm_groups": 4}
IVVAE = {"width": 4, "blocks": 1}


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A folder with two small clips, one of them held out."""
    folder = tmp_path_factory.mktemp("clips")
    for name in ("noise.mp4", "held.mp4"):
        make_clip(folder / name, draw_noise(18))
    return folder


@pytest.fixture(scope="module")
def sd_vae(tmp_path_factory):
    """A small 2D VAE as published: a file in LDM's names."""
    path = tmp_path_factory.mktemp("sd") / "sd-vae.safetensors"
    save_file(build_image_vae().state_dict(), path)
    return path


def load_preset(name, *settings):
    return load_config(CONFIGS / name, list(settings))


def shrink(config, clips, folder, overrides):
    """A shipped configuration with its losses and rates: a small network, two steps a phase."""
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
        phases=tuple(shorten(phase, 2 * i + 2) for i, phase in enumerate(config.phases)),
        run=run,
    )


def shorten(phase, until_step):
    """A phase with batches of two clips of five frames at most, of 16 or 32 pixels a side."""
    shapes = tuple(
        Shape(2, min(5, shape.frames), 16 if shape.size <= 256 else 32, shape.weight)
        for shape in phase.list_shapes()
    )
    one = {"batch": 0, "frames": 0, "size": 0, "image_share": 0.0, "image_batch": 0}
    return replace(phase, until_step=until_step, shapes=shapes, **one)


def read_steps(folder):
    return [event for event in read_events(folder / "log.jsonl") if event["event"] == "step"]


def read_launch_lines(name):
    """The commands in a configuration's header, with their placeholders."""
    header = (CONFIGS / name).read_text().split("\n\n")[0]
    text = re.sub(r"\\\n#\s+", "", header)
    return re.findall(r"^#   ((?:accelerate launch|python) -m train .*)$", text, re.MULTILINE)


@pytest.mark.parametrize("name", PRESETS)
def test_the_launch_lines_of_a_header_are_valid(name):
    lines = read_launch_lines(name)
    options = [parse_arguments(shlex.split(line.partition("-m train ")[2])) for line in lines]
    assert Path("train/configs") / name in [each.config for each in options]
    for each in options:
        config = load_config(ROOT / each.config, each.settings)
        assert config.data.path in ("CLIPS", "CLIPS_AND_PICTURES")


def test_odvae_toml_has_the_values_of_the_paper():
    config = load_preset("odvae.toml")
    assert config.steps == 650_000
    assert {phase.list_shapes() for phase in config.phases} == {(Shape(8, 25, 256),)}
    assert (config.optimiser.name, config.optimiser.learning_rate) == ("adam", 1e-5)
    assert config.discriminator.optimiser == config.optimiser
    assert (config.discriminator.mode, config.discriminator.norm) == ("alternate", "batch")
    assert (config.ema.decay, config.loss.kl, config.loss.adversarial) == (0.999, 1e-6, 0.5)
    assert (config.model.preset, config.model.inflation) == ("odvae-v1.2", "tail")


def test_figure_4_differs_from_the_paper_s_recipe_in_the_number_of_steps_only():
    whole, figure = load_preset("odvae.toml"), load_preset("odvae-figure-4.toml")
    last = replace(figure.phases[-1], until_step=whole.steps)
    folder = replace(figure.run, folder=whole.run.folder)
    assert replace(figure, phases=(*figure.phases[:-1], last), run=folder) == whole


def test_the_stages_of_ivvae_are_those_of_the_paper():
    (images,) = load_preset("ivvae-2d.toml").phases
    small, large, mixed = load_preset("ivvae.toml").phases
    assert [phase.until_step for phase in (images, small, large, mixed)] == [
        200_000,
        500_000,
        700_000,
        800_000,
    ]
    assert [(phase.frames, phase.size) for phase in (images, small)] == [(1, 256), (17, 256)]
    assert large.size == 512
    assert len({shape.frames for shape in mixed.shapes}) > 1
    assert len({shape.size for shape in mixed.shapes}) > 1
    config = load_preset("ivvae.toml")
    assert [config.losses_of(phase).adversarial for phase in config.phases] == [0.0, 0.0, 0.5]


def read_rows():
    """The rows of the ablation, by name: the setting of the header."""
    header = (CONFIGS / "ivvae-ablation.toml").read_text().split("\n\n")[0]
    return dict(re.findall(r"^# ([A-E]) +(\{.*?\})", header, re.MULTILINE))


def test_the_header_of_the_ablation_has_the_rows_that_reproduce_trains():
    rows = {
        name: load_preset("ivvae-ablation.toml", f"model.overrides={switches}").model.overrides
        for name, switches in read_rows().items()
    }
    assert rows == ROWS


@pytest.mark.parametrize("row", "ABCDE")
def test_a_row_of_the_ablation_trains_from_its_2d_vae(clips, tmp_path, row):
    setting = f"model.overrides={read_rows()['B' if row == 'A' else row]}"
    config = load_preset("ivvae-2d.toml", setting)
    overrides = config.model.overrides | IVVAE
    config = shrink(config, clips, tmp_path / "parent", overrides)
    train(replace(config, evaluation=PICTURES))
    parent = tmp_path / "parent" / "ema.safetensors"
    assert odvae_core.load(parent).latent_channels == (4 if row in "AB" else 2)
    settings = [f"model.overrides={read_rows()[row]}", f"model.parent={parent}"]
    config = load_preset("ivvae-ablation.toml", *settings)
    train(shrink(config, clips, tmp_path / "run", config.model.overrides | IVVAE))
    assert [step["skipped"] for step in read_steps(tmp_path / "run")] == [0, 0]
    vae = odvae_core.load(tmp_path / "run" / "ema.safetensors")
    assert (vae.latent_channels, vae.config.keyframes) == (4, row in "CDE")


def test_cvvae_counts_its_batches_as_the_authors_do_on_eight_gpus():
    (phase,) = load_preset("cvvae.toml").phases
    assert phase.list_shapes() == (Shape(8 * 8, 1, 320, 0.5), Shape(8 * 1, 17, 256, 0.5))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("odvae.toml", []),
        ("odvae-two-stage.toml", []),
        ("odvae-figure-4.toml", ["model.preset=odvae-variant-1"]),
        ("odvae-figure-4.toml", ["model.preset=odvae-variant-2"]),
        ("odvae-figure-4.toml", ["model.preset=odvae-variant-3"]),
        ("odvae-figure-4.toml", ["model.inflation=average"]),
        ("odvae-figure-4.toml", ["model.inflation=random"]),
    ],
)
def test_an_odvae_preset_trains_from_a_published_2d_vae(clips, sd_vae, tmp_path, name, settings):
    config = load_preset(name, *settings, f"model.parent={sd_vae}")
    train(shrink(config, clips, tmp_path / "run", {}))
    steps = read_steps(tmp_path / "run")
    trains_vae = [True, True, True, config.discriminator.mode == "joint"]
    assert ["l1" in step for step in steps] == trains_vae
    assert ["adversarial" in step for step in steps] == [False, False, True, trains_vae[-1]]
    assert {step["skipped"] for step in steps} == {0}
    assert odvae_core.load(tmp_path / "run" / "ema.safetensors").family == "odvae"


@pytest.mark.parametrize("layout", ["ldm", "diffusers", "sd3"])
def test_the_cvvae_preset_trains_with_a_published_2d_vae(clips, tmp_path, layout):
    sd3 = {"z_channels": 16, "quant": ""} if layout == "sd3" else {}
    vae = build_image_vae(**sd3)
    if layout == "ldm":
        image_vae = tmp_path / "sd-vae.safetensors"
        save_file(vae.state_dict(), image_vae)
    else:
        image_vae = write_diffusers_folder(vae, tmp_path / "vae")
    preset = "cvvae-sd3" if layout == "sd3" else "cvvae"
    config = load_preset("cvvae.toml", f"model.preset={preset}", f"image_space.vae={image_vae}")
    config = shrink(config, clips, tmp_path / "run", CVVAE)
    phase = replace(config.phases[0], until_step=6)
    train(replace(config, phases=(phase,)))
    steps = read_steps(tmp_path / "run")
    assert ["image" in step for step in steps] == [True, False] * 3
    assert all({"l1", "kl", "adversarial"} <= step.keys() for step in steps[::2])
    assert {step["skipped"] for step in steps} == {0}
    assert odvae_core.load(tmp_path / "run" / "ema.safetensors").family == "cvvae"


def test_the_ivvae_presets_train_a_2d_vae_and_the_video_vae_that_starts_from_it(clips, tmp_path):
    config = shrink(load_preset("ivvae-2d.toml"), clips, tmp_path / "parent", IVVAE)
    train(replace(config, evaluation=PICTURES))
    parent = tmp_path / "parent" / "ema.safetensors"
    assert odvae_core.load(parent).latent_channels == 2

    config = load_preset("ivvae.toml", f"model.parent={parent}")
    train(shrink(config, clips, tmp_path / "run", IVVAE))
    steps = read_steps(tmp_path / "run")
    assert ["adversarial" in step for step in steps] == [False] * 4 + [True, False]
    assert "logits_real" in steps[-1]
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
