"""The network of a run, its initial weights, and the warning about its learning rate."""

import pytest
import torch

import odvae_core
from odvae_core.inflation import image_parent
from tests.train.small_runs import SMALL, configure
from train.config import ConfigError, ModelConfig, OptimiserConfig
from train.networks import choose_preset, freeze_parts, make_vae, warn_of_high_learning_rate

TINY = ModelConfig(preset="odvae-tiny", overrides=SMALL)


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    """A 2D VAE that inflates into the small odvae-tiny."""
    path = tmp_path_factory.mktemp("parent") / "parent.safetensors"
    odvae_core.save(odvae_core.build(image_parent(choose_preset(TINY))), path)
    return str(path)


def test_overrides_change_fields_of_the_preset():
    assert choose_preset(TINY).width == 8
    assert choose_preset(TINY).levels == choose_preset(ModelConfig("odvae-tiny")).levels


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (ModelConfig(preset="odvae-v9"), "got preset 'odvae-v9'"),
        (ModelConfig(preset="odvae-tiny", overrides={"wdth": 8}), "wdth"),
        (ModelConfig(preset="odvae-tiny", start="nowhere.safetensors"), "nowhere"),
        (ModelConfig(preset="odvae-tiny", parent="nowhere.safetensors"), "nowhere"),
        (ModelConfig(preset="cvvae", images=True), "can't be inflated"),
    ],
)
def test_a_network_that_can_not_be_made_is_an_error(model, words):
    with pytest.raises(ConfigError, match=words):
        make_vae(model)


def test_a_parent_is_inflated_and_trainable(parent):
    vae = make_vae(ModelConfig(preset="odvae-tiny", overrides=SMALL, parent=parent))
    assert vae.inflation.mode == "tail"
    assert vae.temporal_compression == 4
    assert all(weight.requires_grad for weight in vae.parameters())


def test_images_builds_the_2d_parent():
    vae = make_vae(ModelConfig(preset="odvae-tiny", overrides=SMALL, images=True))
    assert (vae.temporal_compression, vae.config.width) == (1, 8)


def test_a_start_checkpoint_replaces_the_preset(parent):
    vae = make_vae(ModelConfig(preset="odvae-v1.2", start=parent))
    assert vae.temporal_compression == 1
    saved = odvae_core.load(parent).state_dict()
    assert all(torch.equal(weight, saved[name]) for name, weight in vae.state_dict().items())


@pytest.mark.parametrize("preset", ["odvae-tiny", "cvvae", "ivvae-z4"])
def test_random_weights_start_with_little_posterior_noise(preset):
    levels = [
        {"channels": 8, "down": down, "up": up}
        for down, up in (("joint", ""), ("space", "joint"), ("joint", "space"), ("", "joint"))
    ]
    overrides = {
        "odvae-tiny": SMALL,
        "cvvae": {"levels": levels, "norm_groups": 4, "blocks": 1},
        "ivvae-z4": {"width": 8, "blocks": 1},
    }
    torch.manual_seed(0)
    vae = make_vae(ModelConfig(preset=preset, overrides=overrides[preset]))
    with torch.no_grad():
        posterior = vae.encode(torch.rand(1, 3, 5, 16, 16) * 2 - 1)
    assert posterior.logvar.mean() < -4


def test_a_high_constant_learning_rate_of_a_pretrained_vae_gives_a_warning(tmp_path, caplog):
    high = OptimiserConfig(learning_rate=5e-4)
    model = ModelConfig(parent="sd.safetensors")
    assert warn_of_high_learning_rate(configure(tmp_path, model=model, optimiser=high))
    assert "lower it, or set optimiser.schedule=cosine" in caplog.text


@pytest.mark.parametrize(
    ("parent", "optimiser"),
    [
        ("", OptimiserConfig(learning_rate=5e-4)),
        ("sd.safetensors", OptimiserConfig(learning_rate=1e-5)),
        ("sd.safetensors", OptimiserConfig(learning_rate=5e-4, schedule="cosine")),
        ("sd.safetensors", OptimiserConfig("muon", learning_rate=3e-3)),
    ],
)
def test_other_learning_rates_give_no_warning(tmp_path, parent, optimiser):
    config = configure(tmp_path, model=ModelConfig(parent=parent), optimiser=optimiser)
    assert not warn_of_high_learning_rate(config)


def test_the_named_parts_are_frozen():
    vae = make_vae(TINY)
    freeze_parts(vae, ("encoder",))
    assert not any(weight.requires_grad for weight in vae.get_submodule("encoder").parameters())
    assert all(weight.requires_grad for weight in vae.get_submodule("decoder").parameters())
    with pytest.raises(ConfigError, match=r"'coder'; the parts are encoder, decoder"):
        freeze_parts(vae, ("coder",))
