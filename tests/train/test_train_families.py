"""The presets of CV-VAE and IV-VAE at small size, and the causal stand-in for IV-VAE's network."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import odvae_core
from odvae_core.layers.group_causal import GroupCausalConv3d
from tests.media import draw_noise, make_clip
from train.config import EvaluationConfig, ModelConfig, load_config
from train.loop import train
from train.networks import FIRST_LOGVAR, make_vae
from train.reproduce.causality import (
    CausalReplacement,
    delay_kernels,
    list_group_causal,
    make_causal,
)
from train.reproduce.cvvae import compare_nearest
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
    """A shipped configuration with all it says of losses and rates, for a small network."""
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


def test_the_cvvae_preset_learns_from_pictures_and_clips_beside_a_frozen_2d_vae(clips, tmp_path):
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


def test_the_ivvae_preset_trains_its_2d_vae_then_starts_from_it_and_ends_adversarial(
    clips, tmp_path
):
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
def test_every_family_starts_with_little_noise(model):
    torch.manual_seed(0)
    posterior = make_vae(model).encode(torch.rand(1, 3, 5, 32, 32) * 2 - 1)
    assert posterior.logvar.mean().item() == pytest.approx(FIRST_LOGVAR, abs=1)
    assert posterior.mean.mean().abs() < 1


@pytest.fixture
def inflated(tmp_path):
    """A small IV-VAE that starts from a 2D VAE: its kernels look at no other frame yet."""
    torch.manual_seed(0)
    path = tmp_path / "parent.safetensors"
    odvae_core.save(make_vae(ModelConfig("ivvae-z4", IVVAE, images=True)), path)
    return make_vae(ModelConfig("ivvae-z4", IVVAE, parent=str(path), inflation="branches")).eval()


@torch.no_grad()
def reconstruct(vae, video):
    return vae.decode(vae.encode(video).mode())


def test_the_causal_network_starts_with_what_the_group_causal_one_computes(inflated):
    video = torch.rand(1, 3, 9, 16, 16) * 2 - 1
    expected = reconstruct(inflated, video)
    delay_kernels(inflated)
    make_causal(inflated)
    torch.testing.assert_close(reconstruct(inflated, video), expected)


def test_the_causal_network_has_the_same_weights_and_no_group_causal_convolution(inflated):
    before = dict(inflated.named_parameters())
    make_causal(inflated)
    after = dict(inflated.named_parameters())
    assert before.keys() == after.keys()
    assert all(before[name] is weight for name, weight in after.items())
    kinds = {type(layer.conv_3d) for layer in list_group_causal(inflated)}
    assert kinds == {CausalReplacement}
    wide = [layer for layer in inflated.modules() if isinstance(layer, GroupCausalConv3d)]
    assert all(type(conv) is CausalReplacement or conv.kernel_size[0] == 1 for conv in wide)


def find_reach(conv, frame):
    """The output frames that a change of one input frame reaches."""
    clip = torch.randn(1, 4, 9, 3, 3)
    changed = clip.clone()
    changed[:, :, frame] += 1
    difference = (conv(clip) - conv(changed)).abs().amax(dim=(0, 1, 3, 4))
    return difference.nonzero().flatten().tolist()


@torch.no_grad()
def test_a_causal_kernel_sees_two_frames_back_and_none_ahead():
    grouped = GroupCausalConv3d(4, 4)
    causal = CausalReplacement(grouped)
    assert [find_reach(grouped, frame) for frame in (5, 6)] == [[5, 6], [5, 6, 7]]
    assert [find_reach(causal, frame) for frame in (5, 6)] == [[5, 6, 7], [6, 7, 8]]


def test_a_picture_is_compared_with_the_nearest_frame_of_its_group():
    video = torch.full((1, 3, 9, 4, 4), -1.0)
    video[:, :, 7] = 1.0
    pictures = torch.tensor([-0.8, -1.0, 0.8]).view(1, 1, 3, 1, 1).expand(1, 3, 3, 4, 4)
    first, second, third = compare_nearest(pictures, video, 4)[0].tolist()
    assert first == pytest.approx(20.0)
    assert second == float("inf")
    assert third == pytest.approx(20.0)
