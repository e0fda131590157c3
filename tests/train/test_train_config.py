"""Configurations of runs, and the command that loads them."""

import subprocess
import sys
from pathlib import Path

import pytest

from train.config import Config, ConfigError, apply_setting, build_config, load_config

ROOT = Path(__file__).resolve().parents[2]
SHAPE = {"batch": 1, "frames": 1, "size": 16}


@pytest.mark.parametrize("path", sorted((ROOT / "train" / "configs").glob("*.toml")), ids=str)
def test_every_shipped_configuration_loads(path):
    config = load_config(path, [])
    assert config.steps == config.phases[-1].until_step


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"optimizer": {}}, "unknown key optimizer"),
        ({"data": {"rendred": 0.5}}, "unknown key data.rendred"),
        ({"phases": [{"until_step": 1}]}, "missing"),
    ],
)
def test_an_unknown_or_missing_key_is_an_error_that_names_it(table, words):
    with pytest.raises(ConfigError, match=words):
        build_config(Config, table)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"run": {"seed": "zero"}}, r"run\.seed is 'zero'"),
        ({"run": {"seed": True}}, r"run\.seed is True"),
        ({"optimiser": {"betas": [0.9]}}, r"optimiser\.betas has 1 values; it takes 2"),
        ({"data": {"held_out": "a.mp4"}}, r"data\.held_out is 'a\.mp4'"),
        ({"phases": [{"losses": {"l1": "much"}}]}, r"phases\.losses\.l1 is 'much'"),
    ],
)
def test_a_value_of_another_type_is_an_error_that_names_it(table, words):
    with pytest.raises(ConfigError, match=words):
        build_config(Config, table)


def test_an_integer_is_accepted_for_a_float():
    assert build_config(Config, {"loss": {"l2": 2}}).loss.l2 == 2.0


def test_a_setting_is_toml_or_a_string():
    table = {"run": {"seed": 0, "folder": "runs/tiny"}}
    for setting in (
        "run.seed=3",
        "data.path=/my clips/a",
        'data.held_out=["x.mp4"]',
        "model.overrides.width=32",
        "model.images=true",
    ):
        apply_setting(table, setting)
    config = build_config(Config, table)
    assert (config.run.seed, config.run.folder) == (3, "runs/tiny")
    assert (config.data.path, config.data.held_out) == ("/my clips/a", ("x.mp4",))
    assert config.model.overrides == {"width": 32}
    assert config.model.images


def test_a_setting_without_a_value_is_an_error():
    with pytest.raises(ConfigError, match=r"section\.key=value"):
        apply_setting({}, "run.seed")


def test_a_setting_inside_a_list_is_an_error():
    with pytest.raises(ConfigError, match="phases is no section"):
        apply_setting({"phases": [{}]}, "phases.until_step=3")


def test_a_file_that_is_no_toml_is_an_error(tmp_path):
    (tmp_path / "a.toml").write_text("[model")
    with pytest.raises(ConfigError, match=r"a\.toml is no TOML file"):
        load_config(tmp_path / "a.toml", [])


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"optimiser": {"name": "sgd"}}, "optimiser.name is 'sgd'; it is one of adam, adamw, muon"),
        ({"data": {"crop": "left"}}, "data.crop is 'left'; it is one of random, center"),
        (
            {"data": {"augment": "wild"}},
            "data.augment is 'wild'; it is one of none, mirror, strong",
        ),
        ({"run": {"trackers": ["comet"]}}, "run.trackers is 'comet'"),
        ({"model": {"parent": "a", "start": "b"}}, "exclude each other"),
        ({"loss": {"perceptual": "vgg"}}, "give the weights of its convolutions"),
        ({"loss": {"l1": 0.0}}, "has no reconstruction error"),
    ],
)
def test_settings_that_exclude_each_other_are_an_error(table, words):
    with pytest.raises(ConfigError, match=words):
        build_config(Config, table)


@pytest.mark.parametrize(
    ("phase", "words"),
    [
        ({"losses": {"lpips": 1.0}}, "phases.0.losses has 'lpips'"),
        ({"losses": {"logvar": 1.0}}, "phases.0.losses has 'logvar'"),
        ({"image_share": 0.5}, "set its image_batch too"),
        ({"size": 0}, "phases.0 is missing size; set them, or shapes"),
        ({"batch": -1}, "batch, frames and size are 1 or more"),
        ({"shapes": [SHAPE]}, "phases.0 has shapes and batch; set one of them"),
        ({"losses": {"adversarial": 0.5}, "frozen": ["decoder"]}, "freezes the decoder"),
        ({"losses": {"l1": 0.0}}, "phases.0 has no reconstruction error"),
    ],
)
def test_an_invalid_phase_is_an_error(phase, words):
    with pytest.raises(ConfigError, match=words):
        build_config(Config, {"phases": [{"until_step": 5} | SHAPE | phase]})


@pytest.mark.parametrize("change", [{"weight": 0}, {"frames": 0}])
def test_an_invalid_shape_of_a_phase_is_an_error(change):
    table = {"phases": [{"until_step": 5, "shapes": [SHAPE, SHAPE | change]}]}
    with pytest.raises(ConfigError, match=r"phases\.0 has a Shape.*weight is above 0"):
        build_config(Config, table)


def test_a_phase_replaces_weights_of_the_losses():
    shape = {"until_step": 5, "batch": 1, "frames": 1, "size": 16}
    config = build_config(Config, {"loss": {"kl": 2.0}, "phases": [shape | {"losses": {"l2": 3}}]})
    losses = config.losses_of(config.phases[0])
    assert (losses.kl, losses.l2, config.is_adversarial) == (2.0, 3.0, False)


def test_phases_that_end_before_their_predecessors_are_an_error():
    phase = {"batch": 1, "frames": 1, "size": 16}
    with pytest.raises(ConfigError, match=r"phases end at steps \[5, 5\]"):
        build_config(Config, {"phases": [phase | {"until_step": 5}, phase | {"until_step": 5}]})


def test_a_step_belongs_to_the_first_phase_that_has_not_ended():
    phases = [{"until_step": end, "batch": end, "frames": 1, "size": 16} for end in (2, 5)]
    config = build_config(Config, {"phases": phases})
    assert [config.phase_at(step).batch for step in range(5)] == [2, 2, 5, 5, 5]


def test_help_and_configuration_need_no_torch():
    code = (
        "import sys, train.__main__ as command\n"
        "from train.config import load_config\n"
        "load_config(command.Path('train/configs/tiny.toml'), [])\n"
        "assert 'torch' not in sys.modules and 'odvae_core' not in sys.modules\n"
        "command.main(['--help'])\n"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "--config" in result.stdout


def test_an_invalid_configuration_ends_the_command_with_one_line():
    command = [
        sys.executable,
        "-m",
        "train",
        "--config",
        "train/configs/tiny.toml",
        "--set",
        "a.b=1",
    ]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr.startswith("train: unknown key a;")
