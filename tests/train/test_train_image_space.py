"""CV-VAE's regularisation towards a 2D VAE's latent space."""

import pytest
import torch

import odvae_core
from odvae_core.inflation import image_parent
from train.config import ConfigError, ImageSpaceConfig
from train.dice import Dice
from train.image_space import ImageSpace, map_frames

CPU = torch.device("cpu")


def count_frames(frames=9):
    """A clip whose frames hold their own numbers."""
    return torch.arange(float(frames)).view(1, 1, frames, 1, 1).expand(2, 3, frames, 2, 2)


def read_numbers(video):
    return video[0, 0, :, 0, 0].tolist()


def test_a_slice_is_every_fourth_frame():
    assert read_numbers(map_frames(count_frames(), "slice", 4, Dice(0))) == [0, 4, 8]


def test_a_mean_is_over_each_group_after_the_first_frame():
    assert read_numbers(map_frames(count_frames(), "mean", 4, Dice(0))) == [0, 2.5, 6.5]


def test_a_random_frame_comes_from_its_own_group():
    seen = [read_numbers(map_frames(count_frames(), "random", 4, Dice(i))) for i in range(60)]
    assert {first for first, _, _ in seen} == {0}
    assert {second for _, second, _ in seen} == {1, 2, 3, 4}
    assert {third for _, _, third in seen} == {5, 6, 7, 8}


def test_the_same_dice_pick_the_same_frames():
    pick = [read_numbers(map_frames(count_frames(33), "random", 4, Dice(7))) for _ in range(2)]
    assert pick[0] == pick[1]


@pytest.mark.parametrize("mapping", ["slice", "mean", "random"])
def test_a_picture_stands_for_itself(mapping):
    assert read_numbers(map_frames(count_frames(1), mapping, 4, Dice(0))) == [0]


@pytest.fixture(scope="module")
def vae():
    torch.manual_seed(0)
    return odvae_core.build("odvae-tiny")


@pytest.fixture(scope="module")
def image_file(vae, tmp_path_factory):
    path = tmp_path_factory.mktemp("image") / "image.safetensors"
    odvae_core.save(odvae_core.build(image_parent(vae.config)), path)
    return path


def test_the_decoder_s_error_teaches_the_latent_and_not_the_2d_vae(vae, image_file):
    space = ImageSpace(ImageSpaceConfig(vae=str(image_file)), vae, CPU)
    video = torch.rand(1, 3, 5, 16, 16) * 2 - 1
    latent = torch.randn(1, 4, 2, 2, 2, requires_grad=True)
    space.error(latent, video, Dice(0)).backward()
    assert latent.grad.abs().min() > 0
    assert all(weight.grad is None for weight in space.vae.parameters())


def test_the_encoder_s_latents_are_those_of_every_fourth_frame(vae, image_file):
    space = ImageSpace(ImageSpaceConfig(vae=str(image_file), encode=True), vae, CPU)
    video = torch.rand(1, 3, 9, 16, 16) * 2 - 1
    expected = space.vae.encode(video[:, :, ::4]).mean
    latent = space.encode(video, torch.zeros_like(expected))
    torch.testing.assert_close(latent, expected)
    assert not latent.requires_grad


def test_without_encode_there_are_no_other_latents(vae, image_file):
    space = ImageSpace(ImageSpaceConfig(vae=str(image_file)), vae, CPU)
    assert space.encode(torch.zeros(1, 3, 5, 16, 16), torch.zeros(1, 4, 2, 2, 2)) is None


def test_a_vae_of_another_latent_space_is_refused(vae, tmp_path):
    odvae_core.save(vae, tmp_path / "video.safetensors")
    with pytest.raises(ConfigError, match="compresses time 4x"):
        ImageSpace(ImageSpaceConfig(vae=str(tmp_path / "video.safetensors")), vae, CPU)
